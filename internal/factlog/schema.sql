create table fact (
  seq     bigint primary key,    -- keep log: order
  id      text not null unique,  -- keep log: name of the fact
  subject text not null,         -- keep log: what happened
  version bigint not null,       -- keep log: shape of the body
  ref     text not null,         -- keep log: what it is about
  actor   text not null,         -- keep log: who or what did it, as a reference
  at      bigint not null,       -- keep log: when
  body    text not null          -- keep log: references and values, as JSON
);
create index fact_subject on fact(subject, seq);
create index fact_ref on fact(ref, seq);
create table fact_place (
  reader  text not null,    -- keep tech: who reads
  subject text not null,    -- keep tech: what
  seq     bigint not null,  -- keep tech: how far
  primary key (reader, subject)
);
create table fact_aside (
  reader text not null,    -- keep tech: who could not handle it
  seq    bigint not null,  -- keep tech: which fact
  error  text not null,    -- keep tech: why
  at     bigint not null,  -- keep tech: when
  primary key (reader, seq)
);
