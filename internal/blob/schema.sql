create table blob (
  month  text not null,    -- keep tech: which month's key opens it
  digest text not null,    -- keep tech: SHA-256 of the content
  size   bigint not null,  -- keep tech: bytes of the content
  body   bytea not null,   -- keep body: what people sent, compressed and encrypted
  at     bigint not null,  -- keep tech: when it was first written
  primary key (month, digest)
);
