create table abuse_quarantine (
  id         text primary key, -- keep case: name
  ref        text not null unique, -- keep case: number that people use
  case_id    text not null,    -- keep case: the case that it is for
  mark       text not null,    -- keep case: keyed hash of the subscriber
  who_sealed bytea not null,   -- keep pinned: subscriber, line and device
  class      text not null,    -- keep case: class of the taxonomy
  feed       text not null,    -- keep case: what told of it first, such as a format or a feed
  profile    text not null check (profile in ('leaky','strict')), -- keep case: what the line may reach
  state      text not null check (state in ('requested','approved','applying','active','pending','failed','acknowledged','offered','releasing','released','stuck','dropped')), -- keep case: where it stands
  why        text not null,    -- keep case: why it waits, or was dropped, as codes
  automatic  boolean not null, -- keep case: a rule asked for it
  needy      boolean not null, -- keep case: a vulnerable customer, who is let out first
  asked_by   text not null,    -- keep case: who asked for it
  second_by  text not null,    -- keep case: who approved it as the second person
  digest     text not null,    -- keep case: of what is asked for: an approval is bound to it
  threat     text not null,    -- keep case: what it protects others from
  necessity  text not null,    -- keep case: why nothing milder does
  proportion text not null,    -- keep case: why it is not more than that
  legal      text not null,    -- keep case: legal reference
  asked_at   bigint not null,  -- keep case: when it was asked for
  start_at   bigint not null,  -- keep case: when it was decided; 0 is not yet
  force_at   bigint not null,  -- keep case: when the access network first said that it is in force; 0 is never
  until      bigint not null,  -- keep case: when it ends by itself
  review_at  bigint not null,  -- keep case: when a person looks whether it is still needed
  ended_at   bigint not null,  -- keep case: when the way back began; 0 is not yet
  freed_at   bigint not null,  -- keep case: when every line was back; 0 is not yet
  mechanism  text not null,    -- keep case: how it ended; restore before that: its time is cut short
  campaign   text not null,    -- keep case: which release of many it was part of; empty is none
  ticked     text not null,    -- keep case: steps that the guest has done
  help_at    bigint not null,  -- keep case: when the guest asked for help last and nobody has answered yet; 0 is never
  seen_at    bigint not null,  -- keep case: when its page was seen first; 0 is never
  self_left  bigint not null,  -- keep case: how often the guest may still end it alone
  version    bigint not null,  -- keep tech: number of the last wish
  leave_at   bigint not null   -- keep case: when the guest asked to leave before the desk knew of every step; 0 is not
);
create index abuse_quarantine_case on abuse_quarantine(case_id);
create index abuse_quarantine_mark on abuse_quarantine(mark, class);
create index abuse_quarantine_state on abuse_quarantine(state, until);
create index abuse_quarantine_start on abuse_quarantine(start_at) where start_at>0;
create index abuse_quarantine_ended on abuse_quarantine(ended_at) where ended_at>0;
create index abuse_quarantine_campaign on abuse_quarantine(campaign, state) where campaign<>'';
create table abuse_quarantine_line (
  quarantine text not null,   -- keep session: which one
  skey       text not null,   -- keep session: keyed hash of the session
  nas        text not null,   -- keep session: its access server
  held_sealed bytea not null, -- keep pinned: the session with its addresses
  want       text not null,   -- keep session: profile that it is to have
  version    bigint not null, -- keep tech: number of the wish
  back       boolean not null, -- keep tech: it is on its way back, which goes first
  rank       bigint not null, -- keep tech: place among those that wait: the smallest first
  done       boolean not null, -- keep session: the access network said that it is so
  seen       boolean not null, -- keep session: and somebody looked
  tries      bigint not null, -- keep tech: without an answer since the wish
  due_at     bigint not null, -- keep tech: when it is sent; 0 is never
  code       text not null,   -- keep session: what the access network said last
  against    bigint not null, -- keep session: how often accounting told of another profile since the wish
  heard_at   bigint not null, -- keep tech: accounting of before says nothing of the order; 0 is none was done
  primary key (quarantine, skey)
);
create index abuse_quarantine_line_skey on abuse_quarantine_line(skey);
create index abuse_quarantine_line_due on abuse_quarantine_line(nas, back, rank, due_at) where due_at>0;
create table abuse_quarantine_turn (
  one bigint primary key -- keep tech: taken by who judges a wish, one after the other
);
create table abuse_quarantine_said (
  id text primary key,     -- keep case: of what a guest did: the same again changes nothing
  quarantine text not null, -- keep case: in which
  at bigint not null       -- keep case: when
);
create index abuse_quarantine_said_of on abuse_quarantine_said(quarantine);
create table abuse_quarantine_many (
  id     text primary key, -- keep case: name
  feed   text not null,    -- keep case: those that rest on this feed; empty is all
  class  text not null,    -- keep case: those of this class; empty is all
  actor  text not null,    -- keep case: who let them out
  reason text not null,    -- keep case: why
  at     bigint not null,  -- keep case: when
  before bigint not null,  -- keep tech: what was asked for later is not part of it
  total  bigint not null,  -- keep case: how many were found
  done_at bigint not null  -- keep case: when all were on their way; 0 is not yet
);
