create table idempotency (
  person  text not null,    -- keep secret: whose key it is, as a reference
  key     text not null,    -- keep secret: SHA-256 of the key
  digest  text not null,    -- keep secret: SHA-256 of the request
  status  bigint not null,  -- keep secret: of the answer; 0 before anything is done, 1 when something is
  kind    text not null,    -- keep secret: content type of the answer
  answer  bytea not null,   -- keep secret: the answer, sealed
  at      bigint not null,  -- keep secret: when the request came; kept 24 h
  claim   text not null,    -- keep secret: which try of the request holds the key
  primary key (person, key)
);
create index idempotency_at on idempotency(at);
