create table log_head (
  id     bigint primary key check (id=1), -- keep log: there is one log
  origin text not null,    -- keep log: its name in heads
  epoch  bigint not null,  -- keep log: raised by a restore
  size   bigint not null,  -- keep log: number of leaves
  edge   bytea not null,   -- keep log: right edge of the tree
  state  text not null check (state in ('on','asking','forked')) -- keep log: whether it goes on
);
create table log_leaf (
  n    bigint primary key,  -- keep log: place in the log
  ref  text not null,       -- keep log: what it is about
  kind text not null,       -- keep log: what happened
  body text not null,       -- keep log: what is hashed; names only as commitments
  hash bytea not null,      -- keep log: hash of the leaf
  unique (ref, kind)
);
create table log_tile (
  n    bigint primary key,  -- keep log: which 256 leaves
  hash bytea not null       -- keep log: hash over them
);
create table log_salt (
  n    bigint primary key,  -- keep name: leaf whose name it opens
  ref  text not null unique, -- keep name: what the leaf is about
  salt bytea not null,      -- keep name: opens the commitment
  tag  bytea not null       -- keep name: start of the name's hash, for look-ups
);
create table log_forgot (
  seq bigint primary key,   -- keep log: order in which intakes forget
  n   bigint not null       -- keep log: leaf whose salt is destroyed
);
create table log_pending (
  seq  bigint primary key,  -- keep tech: order
  body text not null,       -- keep tech: leaf that waits: for the intakes after a restore, or for a log that can be written
  name text not null        -- keep tech: its name, until the leaf is written
);
create table log_told (
  host text primary key,    -- keep tech: intake that has told what it holds, after a restore
  ok   boolean not null     -- keep tech: whether it follows what we hold
);
