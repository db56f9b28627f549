create table abuse_message (
  id         text primary key, -- keep case: name
  case_id    text not null,    -- keep case: in which case
  quarantine text not null,    -- keep case: about which quarantine; empty is none
  kind       text not null check (kind in ('warned','quarantined','reminded','released','cleaned','mistaken','forwarded')), -- keep case: why it was written
  channel    text not null check (channel in ('','mail','sms','letter','app','xarf')), -- keep case: by which way; empty where none is known
  lang       text not null,    -- keep case: in which language
  class      text not null,    -- keep case: class of the taxonomy
  state      text not null check (state in ('waiting','sent','delivered','failed','unreachable')), -- keep case: where it stands
  why        text not null,    -- keep case: why it failed, as a code
  actor      text not null,    -- keep case: who asked for it
  event      text not null,    -- keep case: which event is forwarded to a reseller; else empty
  code       text not null,    -- keep case: hash of the code in it; empty is none
  text_sealed bytea,           -- keep pinned: what it says
  made_at    bigint not null,  -- keep case: when
  sent_at    bigint not null,  -- keep case: when it left; 0 is not yet
  delivered_at bigint not null, -- keep case: when it arrived, as the way said
  seen_at    bigint not null   -- keep case: when its code was typed, or when somebody said that it was seen
);
create index abuse_message_case on abuse_message(case_id, id);
create unique index abuse_message_event on abuse_message(event) where event<>'';
create table abuse_code (
  hash       text primary key, -- keep case: hash of the code that a notice carries
  case_id    text not null,    -- keep case: which case
  made_at    bigint not null,  -- keep case: when
  until      bigint not null,  -- keep case: until when it works
  seen_at    bigint not null   -- keep case: when it was typed first
);
create index abuse_code_case on abuse_code(case_id);
create table abuse_said (
  id      text primary key, -- keep case: id of what the holder of a code did
  case_id text not null,    -- keep case: in which case
  what    text not null,    -- keep case: seen, done, undone, help, statement or release
  step    text not null,    -- keep case: which step
  at      bigint not null   -- keep case: when
);
create index abuse_said_case on abuse_said(case_id, at);
