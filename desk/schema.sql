create table desk_number (
  kind text not null,    -- keep tech: what is numbered
  year bigint not null,  -- keep tech: numbers begin anew each year
  last bigint not null,  -- keep tech: last number given out
  primary key (kind, year)
);
create table desk_receipt (
  hash    text primary key, -- keep case: hash of the code that the reporter holds
  kind    text not null,    -- keep case: what it is the receipt of
  ref     text not null,    -- keep case: which one
  made_at bigint not null   -- keep case: when
);
create table desk_case (
  id         text primary key,     -- keep case: name
  ref        text not null unique, -- keep case: number that people use
  capability text not null,        -- keep case: whose it is
  subject    text not null,        -- keep case: what it is about, such as a host name
  state      text not null check (state in ('gathering','waiting','second','decided','closed')), -- keep case: where it stands
  outcome    text not null,        -- keep case: how it was decided
  priority   bigint not null,      -- keep case: higher is looked at first
  why_first  text not null,        -- keep case: why it has this priority
  opened_at  bigint not null,      -- keep case: when
  touched_at bigint not null,      -- keep case: last change
  closed_at  bigint not null       -- keep case: when it was decided
);
create unique index desk_case_open on desk_case(capability, subject) where state in ('gathering','waiting','second');
create index desk_case_queue on desk_case(capability, state, priority, opened_at, id, subject);
create index desk_case_age on desk_case(capability, state, id, subject);
create index desk_case_subject on desk_case(capability, subject, opened_at);
create table desk_proposal (
  id      text primary key, -- keep case: name
  case_id text not null,    -- keep case: which case; empty where there is none
  action  text not null,    -- keep case: what would be done
  body    text not null,    -- keep case: exactly what, as JSON
  digest  text not null,    -- keep case: SHA-256 of action and body; an approval is bound to it
  state   text not null check (state in ('open','void','done')), -- keep case: where it stands
  actor   text not null,    -- keep case: who proposed
  reason  text not null,    -- keep case: why
  need    text not null,    -- keep case: why a second person is needed
  at      bigint not null   -- keep case: when
);
create index desk_case_over on desk_case(touched_at) where state in ('decided','closed');
create index desk_proposal_case on desk_proposal(case_id, state);
create index desk_proposal_open on desk_proposal(at, id) where state='open';
create table desk_approval (
  proposal text not null,   -- keep case: which proposal
  digest   text not null,   -- keep case: what exactly was approved
  actor    text not null,   -- keep case: who
  at       bigint not null, -- keep case: when
  primary key (proposal, actor)
);
create table desk_appeal (
  id          text primary key,     -- keep case: name
  ref         text not null unique, -- keep case: number that people use
  receipt     text not null,        -- keep case: hash of the appellant's code
  capability  text not null,        -- keep case: whose measure
  object      text not null,        -- keep case: which measure; empty where the name is not blocked
  subject     text not null,        -- keep case: the name
  role        text not null,        -- keep case: owner or visitor
  text_sealed bytea,                -- keep reply: what the appellant wrote
  contact_sealed bytea,             -- keep reply: how to reach the appellant
  state       text not null check (state in ('received','decided')), -- keep case: where it stands
  decision    text not null,        -- keep case: upheld or rejected
  actor       text not null,        -- keep case: who decided
  reason      text not null,        -- keep case: why
  received_at bigint not null,      -- keep case: when
  due_at      bigint not null,      -- keep case: when it must be decided
  decided_at  bigint not null       -- keep case: when it was
);
create index desk_appeal_state on desk_appeal(state, due_at, id);
create index desk_appeal_age on desk_appeal(state, id);
create index desk_appeal_object on desk_appeal(object, received_at);
create unique index desk_appeal_one on desk_appeal(object) where state='received' and object<>'';
create table desk_notice (
  id        text primary key, -- keep case: name
  kind      text not null,    -- keep case: which text
  ref       text not null,    -- keep case: what it answers
  lang      text not null,    -- keep case: language
  to_sealed bytea,            -- keep reply: address
  body_sealed bytea,          -- keep reply: the mail as it goes out
  state     text not null check (state in ('waiting','sent','failed','dropped')), -- keep case: where it stands
  made_at   bigint not null,  -- keep case: when
  sent_at   bigint not null   -- keep case: when
);
create index desk_notice_sealed on desk_notice(made_at) where to_sealed is not null;
create unique index desk_notice_once on desk_notice(kind, ref);
create index desk_notice_failed on desk_notice(made_at) where state='failed';
create index desk_notice_sent on desk_notice(kind, sent_at);
create table desk_notice_day (
  mark text not null,    -- keep reply: keyed hash of the address
  day  bigint not null,  -- keep reply: day on which it got a mail
  primary key (mark, day)
);
create table desk_order (
  id        text primary key, -- keep case: name
  ref       text not null unique, -- keep case: number that people use
  issuer    text not null,    -- keep case: whose order
  external  text not null,    -- keep case: the issuer's own number
  version   bigint not null,  -- keep case: the issuer's version or time of change
  action    text not null,    -- keep case: what the issuer wants
  subject   text not null,    -- keep case: the name
  scope     text not null,    -- keep case: how much of it
  ground    text not null,    -- keep case: legal ground, the issuer's
  valid_from bigint not null, -- keep case: start
  valid_until bigint not null, -- keep case: end; 0 is open
  state     text not null check (state in ('held','in_force','refused','lifted','ended')), -- keep case: where it stands
  reason    text not null,    -- keep case: why it is held or refused
  object    text not null,    -- keep case: the measure that carries it out
  received_at bigint not null, -- keep case: when
  changed_at bigint not null, -- keep case: last change
  unique (issuer, external)
);
create index desk_order_state on desk_order(issuer, state, id, subject);
create index desk_order_changed on desk_order(issuer, changed_at, id);
create index desk_order_any on desk_order(state, id, subject);
