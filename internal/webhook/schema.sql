create table webhook (
  id        text primary key,    -- keep staff: name
  url       text not null,       -- keep staff: where facts are told to
  subjects  text not null,       -- keep staff: which facts, by spaces
  note      text not null,       -- keep staff: what it is for
  secret    bytea not null,      -- keep secret: signing key, sealed
  former    bytea,               -- keep secret: key before, while both sign
  seq       bigint not null,     -- keep tech: last fact that was taken up
  state     text not null check (state in ('on','paused','off')), -- keep staff: off is removed
  actor     text not null,       -- keep staff: who added it
  at        bigint not null      -- keep staff: when
);
create table webhook_delivery (
  id      text primary key,  -- keep tech: name
  hook    text not null,     -- keep tech: to whom
  seq     bigint not null,   -- keep tech: which fact; 0 is a test
  subject text not null,     -- keep tech: what happened
  status  bigint not null,   -- keep tech: HTTP status of the last try; 0 is no answer
  error   text not null,     -- keep tech: why the last try did not do
  tried   bigint not null,   -- keep tech: when it was tried last
  done    boolean not null,  -- keep tech: the receiver has taken it
  at      bigint not null    -- keep tech: when it was to be told
);
create index webhook_delivery_hook on webhook_delivery(hook, id);
create index webhook_delivery_at on webhook_delivery(at);
