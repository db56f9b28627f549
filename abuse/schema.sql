create table abuse_report (
  id          text primary key, -- keep case: name
  ref         text not null unique, -- keep case: number that people use
  channel     text not null,    -- keep case: by which way it came
  host        text not null,    -- keep case: which intake took it
  received_at bigint not null,  -- keep case: when the door took it
  read_at     bigint not null,  -- keep case: when it was read to its end; 0 is not yet
  state       text not null check (state in ('received','read','person','unreadable','done')), -- keep case: where it stands
  tries       bigint not null,  -- keep tech: how often it was tried to be read since it last went on
  claimed_until bigint not null, -- keep tech: who reads it has until then
  receipt     text not null,    -- keep case: hash of the code that the reporter holds
  reporter    text not null,    -- keep case: keyed hash of who reported, of this month only
  reporter_before text not null, -- keep case: the same under the key of the month before; empty where there was none
  from_sealed bytea,            -- keep body: who reported, as the report says
  body_ref    text not null,    -- keep body: digest of the report as it came
  format      text not null,    -- keep case: in which format
  feed        text not null,    -- keep case: from which feed; empty from none
  named       boolean not null, -- keep case: it came from a named source
  plain       boolean not null, -- keep case: it is in no format, or a form: for a person
  total       bigint not null,  -- keep case: events in it; -1 before it is read
  read_to     bigint not null,  -- keep tech: how many of them are in the store
  refused     bigint not null,  -- keep case: things in it that could not be read
  why         text not null,    -- keep case: the first of them, as codes
  fresh       bigint not null,  -- keep case: events not looked at yet
  joined      bigint not null,  -- keep case: events in a case
  later       bigint not null,  -- keep case: events that wait for accounting
  person      bigint not null,  -- keep case: events that wait for a person
  not_ours    bigint not null,  -- keep case: events about addresses of others
  no_line     bigint not null,  -- keep case: events that are about no line of ours by their role
  unknown     bigint not null,  -- keep case: events of which nobody is known
  portless    bigint not null,  -- keep case: those of them that lack a port
  exempt      bigint not null,  -- keep case: events under an exemption
  aside       bigint not null,  -- keep case: events that a person put aside
  repeated    bigint not null,  -- keep case: events that the reporter had told before
  code        text not null,    -- keep case: what the reporter is told
  reply       text not null,    -- keep case: yes: the outcome is mailed to the reporter; else why not, as a code
  reply_sealed bytea,           -- keep body: where to, in which language, and what is answered
  answer      text not null,    -- keep case: keyed hash of whom the mail with the outcome goes to, of this month only; empty is none
  answered_at bigint not null   -- keep case: when it was written; 0 is not yet
);
create index abuse_report_waits on abuse_report(claimed_until) where state='received';
create index abuse_report_sealed on abuse_report(id) where from_sealed is not null;
create index abuse_report_state on abuse_report(state, id);
create index abuse_report_reply on abuse_report(id) where reply_sealed is not null;
create index abuse_report_answer on abuse_report(answer) where answered_at=0 and answer<>'';
create table abuse_event (
  id        text primary key, -- keep case: name
  report    text not null,    -- keep case: in which report
  nth       bigint not null,  -- keep case: its place there
  once      text not null unique, -- keep case: keyed hash of what tells it from others, of this month only
  again     bigint not null,  -- keep case: how often the reporter told exactly the same again
  class     text not null,    -- keep case: class of the taxonomy
  role      text not null,    -- keep case: what the line is in it
  basis     text not null,    -- keep case: what the report rests on
  spoofable boolean not null, -- keep case: a forged address may be behind it
  plain     boolean not null, -- keep case: a proposal for a person
  at        bigint not null,  -- keep case: when it happened; 0 is not said
  time_kind text not null,    -- keep case: exact, range, or of the report
  detail_sealed bytea,        -- keep body: the event with its addresses, as read
  state     text not null check (state in ('fresh','later','person','joined','not_ours','no_line','unknown','exempt','aside')), -- keep case: where it stands
  why       text not null,    -- keep case: why it waits, or came to nothing
  found     bigint not null,  -- keep case: how many candidates there were at the last look
  case_id   text not null,    -- keep case: in which case; empty in none
  due_at    bigint not null,  -- keep tech: when it is to be asked about; 0 is no more
  asked     bigint not null   -- keep tech: how often it was asked about
);
create index abuse_event_report on abuse_event(report, nth);
create index abuse_event_case on abuse_event(case_id, at) where case_id<>'';
create index abuse_event_due on abuse_event(due_at) where due_at>0;
create index abuse_event_sealed on abuse_event(id) where detail_sealed is not null;
create index abuse_event_person on abuse_event(state, id) where state='person';
create table abuse_case (
  id         text primary key, -- keep case: the desk's case
  mark       text not null,    -- keep case: keyed hash of the subscriber
  class      text not null,    -- keep case: class of the taxonomy
  who_sealed bytea not null,   -- keep pinned: subscriber, line and device
  severity   bigint not null,  -- keep case: 1 low to 4 critical
  events     bigint not null,  -- keep case: how many
  reporters  bigint not null,  -- keep case: how many different ones
  solid      bigint not null,  -- keep case: events that no forged address explains
  named      bigint not null,  -- keep case: those of them that a named source told since it last began
  first_seen bigint not null,  -- keep case: the first event
  last_seen  bigint not null,  -- keep case: the last event
  returned   bigint not null,  -- keep case: how often it began again after it was closed
  test       text not null,    -- keep case: what the last test of the line found; empty is none
  test_at    bigint not null,  -- keep case: when it was asked for, or found; 0 is never
  changed_at bigint not null   -- keep case: when it was closed or began again last; 0 is never
);
create index abuse_case_mark on abuse_case(mark, class);
create index abuse_case_changed on abuse_case(changed_at);
create index abuse_case_test on abuse_case(test_at) where test='asked';
create table abuse_case_reporter (
  case_id  text not null, -- keep case: which case
  reporter text not null, -- keep case: keyed hash of who reported, of one month only
  primary key (case_id, reporter)
);
create table abuse_case_session (
  case_id text not null, -- keep case: which case
  session text not null, -- keep case: keyed hash of a session that it rests on and that is pinned
  primary key (case_id, session)
);
create table abuse_note (
  id      text primary key, -- keep case: name
  case_id text not null,    -- keep case: which case
  kind    text not null check (kind in ('opened','returned','note','statement','closed','reopened','exempted','informed','seen','quarantined','released','step','help','clean','tested')), -- keep case: what it is
  actor   text not null,    -- keep case: who
  code    text not null,    -- keep case: reason as a code
  text_sealed bytea not null, -- keep pinned: in words
  at      bigint not null   -- keep case: when
);
create index abuse_note_case on abuse_note(case_id, id);
create table abuse_exemption (
  id      text primary key, -- keep case: name
  case_id text not null,    -- keep case: the case that it was made in
  mark    text not null,    -- keep case: keyed hash of the subscriber
  class   text not null,    -- keep case: of which class; empty is all
  reason  text not null,    -- keep case: why
  actor   text not null,    -- keep case: who
  at      bigint not null,  -- keep case: since when
  until   bigint not null   -- keep case: until when
);
create index abuse_exemption_mark on abuse_exemption(mark, until);
create table abuse_feed (
  name     text primary key, -- keep tech: as it is configured
  heard_at bigint not null   -- keep tech: when it was last heard
);
create table abuse_feed_day (
  name    text not null,   -- keep case: which feed
  day     bigint not null, -- keep case: day of UTC, in days since 1970
  reports bigint not null, -- keep case: how many reports came
  events  bigint not null, -- keep case: how many events were in them
  primary key (name, day)
);
create table abuse_fetched (
  id text primary key,  -- keep tech: name of a report at the clearing house
  at bigint not null    -- keep tech: when it was fetched
);
create index abuse_fetched_at on abuse_fetched(at);
create table abuse_play (
  case_id text primary key, -- keep case: which case
  book    text not null,    -- keep case: the playbook that it follows
  state   text not null check (state in ('running','stopped','ended')), -- keep case: whether the rules go on
  step    bigint not null,  -- keep case: the step that is next, from 0
  due_at  bigint not null,  -- keep case: when; 0 is never
  turn    bigint not null,  -- keep tech: how often the case had returned when it began
  actor   text not null,    -- keep case: who stopped it last
  at      bigint not null   -- keep case: when it began
);
create index abuse_play_due on abuse_play(due_at) where due_at>0;
