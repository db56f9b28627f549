create table privacy_request (
  id         text primary key, -- keep privacy: name
  kind       text not null check (kind in ('export','erasure')), -- keep privacy: what was asked
  state      text not null check (state in ('waits','approved','done','declined','expired')), -- keep privacy: where it stands
  subscriber_sealed bytea,     -- keep privacy: who it is about, until it is decided
  proposal   text not null,    -- keep privacy: what the second person approves; empty where there is none
  reason     text not null,    -- keep privacy: why; it names nobody
  asked_by   text not null,    -- keep privacy: who asked
  asked_at   bigint not null,  -- keep privacy: when
  decided_by text not null,    -- keep privacy: who decided; empty: nobody yet
  decided_at bigint not null,  -- keep privacy: when; 0 is not yet
  report     text not null     -- keep privacy: what was erased and what stays, in figures
);
create index privacy_request_state on privacy_request(state, asked_at);
create table privacy_hold (
  id       text primary key, -- keep privacy: name
  case_id  text not null,    -- keep privacy: the case that is held; empty: all of one person
  number   text not null,    -- keep privacy: the case's number
  subscriber_sealed bytea,   -- keep privacy: who is held, until it ends
  copy_sealed bytea,         -- keep privacy: what was kept when it began and goes with the key of its month; until it ends
  reason   text not null,    -- keep privacy: why; it names nobody
  legal    text not null,    -- keep privacy: the law or order that asks for it
  actor    text not null,    -- keep privacy: who placed it
  at       bigint not null,  -- keep privacy: when
  until    bigint not null,  -- keep privacy: when it ends by itself
  ended_by text not null,    -- keep privacy: who ended it before; empty: nobody
  ended_at bigint not null,  -- keep privacy: when; 0 is not
  ended_why text not null    -- keep privacy: why
);
create index privacy_hold_until on privacy_hold(until);
