create table job (
  id            text primary key,  -- keep tech: name
  kind          text not null,     -- keep tech: what is to be done
  key           text not null,     -- keep tech: the same key is done once
  ref           text not null,     -- keep tech: what it is about
  due           bigint not null,   -- keep tech: not before
  tries         bigint not null,   -- keep tech: how often it was tried
  state         text not null check (state in ('waiting','done','failed','parked')), -- keep tech: how it stands
  claimed_until bigint not null,   -- keep tech: who tries it has until then
  error         text not null,     -- keep tech: why the last try failed
  made_at       bigint not null,   -- keep tech: when it was asked for
  done_at       bigint not null default 0, -- keep tech: when it ended
  unique (kind, key)
);
create index job_due on job(due) where state='waiting';
