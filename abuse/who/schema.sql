create table abuse_held (
  net       bytea not null,  -- keep session: the prefix, 16 octets and its length
  port      bigint not null, -- keep session: first port; 0 where the address is not shared
  start     bigint not null, -- keep session: when it began
  skey      bigint not null, -- keep session: hash of source, access server and session
  last_port bigint not null, -- keep session: last port
  seen      bigint not null, -- keep session: last moment the source vouches for
  until     bigint not null, -- keep session: when it was over; the largest number while open
  ended     text not null check (ended in ('','stop','restart','next','lease','fixed')), -- keep session: how we know that it is over
  guessed   boolean not null, -- keep session: nobody told when it began
  source    text not null,   -- keep session: radius, lease, nat, nat_rule or table
  nas       text not null,   -- keep session: access server or translator
  session   text not null,   -- keep session: its name for the session
  who       text not null,   -- keep session: which row of abuse_identity
  inside    text not null,   -- keep session: address behind a translator; else empty
  primary key (skey, net, port, start)
);
create index abuse_held_net on abuse_held(net, port, start, last_port, until, ended);
create index abuse_held_over on abuse_held(until) where ended<>'';
create index abuse_held_open on abuse_held(nas, start) where ended='';
create index abuse_held_who on abuse_held(who) where ended='';
create index abuse_held_lasting on abuse_held(who) where ended in ('lease','fixed');
create table abuse_identity (
  id     text primary key, -- keep session: keyed hash of what is sealed, of this month only
  month  text not null,    -- keep session: month of its key
  about  text not null,    -- keep session: keyed hash of the subscriber, of this month only
  identity_sealed bytea not null -- keep session: subscriber, line and device, with a key a month that is destroyed after it
);
create index abuse_identity_month on abuse_identity(month);
create index abuse_identity_about on abuse_identity(about);
create table abuse_shape (
  bits  bigint not null, -- keep tech: length of prefixes that are held
  ports bigint not null, -- keep tech: size of a block of ports; 65536 is all of them
  primary key (bits, ports)
);
create table abuse_restart (
  nas  text not null,    -- keep session: access server that began anew
  at   bigint not null,  -- keep session: when
  why  text not null check (why in ('on','off')), -- keep session: what it said
  done boolean not null, -- keep tech: the sessions of before are ended
  primary key (nas, at)
);
create index abuse_restart_open on abuse_restart(nas, at) where not done;
create table abuse_nas (
  nas     text primary key, -- keep session: access server or translator
  source  text not null,    -- keep session: what it tells
  first   bigint not null,  -- keep session: when it was first heard of
  last    bigint not null,  -- keep session: when it was heard last, by its clock
  records bigint not null   -- keep session: how many records
);
create table abuse_gap (
  nas       text not null,   -- keep session: access server that was not heard
  from_at   bigint not null, -- keep session: since when
  to_at     bigint not null, -- keep session: until when
  why       text not null check (why in ('silent','restart')), -- keep session: nothing came, or it began anew
  primary key (nas, from_at)
);
create table abuse_pinned (
  case_id text not null,  -- keep case: which case rests on it
  n       bigint not null, -- keep case: number within the case
  answer_sealed bytea not null, -- keep pinned: what was asked, who had it, with the sessions, sealed with a key of its own
  at      bigint not null, -- keep case: when
  primary key (case_id, n)
);
create table abuse_asked (
  id      text primary key, -- keep staff: name
  at      bigint not null,  -- keep staff: when it was asked
  actor   text not null,    -- keep staff: who looked
  reason  text not null,    -- keep staff: why
  case_id text not null,    -- keep staff: for which case; empty where the reason stands alone
  question_sealed bytea not null, -- keep session: address, port and time that were asked about
  found   bigint not null,  -- keep staff: how many candidates
  acted   boolean not null  -- keep staff: there was exactly one who may be acted on
);
create index abuse_asked_at on abuse_asked(at);
create index abuse_asked_case on abuse_asked(case_id, at);
create table abuse_asked_about (
  asked  text not null, -- keep session: which look-up
  mark   text not null, -- keep session: keyed hash of a subscriber it named, of this month only
  primary key (mark, asked)
);
