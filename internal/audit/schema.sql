create table audit (
  seq    bigint primary key,    -- keep log: place in the chain
  at     bigint not null,       -- keep log: when
  actor  text not null,         -- keep log: who decided, as a reference
  action text not null,         -- keep log: what was done
  object text not null,         -- keep log: what it was about
  reason text not null,         -- keep log: why, in the decider's words
  detail text not null,         -- keep log: what was decided, as JSON
  prev   text not null,         -- keep log: hash of the entry before
  hash   text not null unique   -- keep log: hash of this entry
);
create index audit_object on audit(object, seq);
