create table copy_head (
  copy     text primary key,  -- keep tech: which copy
  epoch    bigint not null,   -- keep tech: raised by a restore
  serial   bigint not null,   -- keep tech: raised by each publication
  previous text not null,     -- keep tech: digest of the serial before
  digest   text not null,     -- keep tech: digest of this serial
  count    bigint not null,   -- keep tech: entries in force
  made_at  bigint not null    -- keep tech: when
);
create table copy_entry (
  copy    text not null,    -- keep case: which copy
  id      text not null,    -- keep case: which entry
  version bigint not null,  -- keep case: the highest wins
  vfrom   bigint not null,  -- keep case: valid from
  vuntil  bigint not null,  -- keep case: valid until; 0 is open
  body    text not null,    -- keep case: what is published, as JSON
  primary key (copy, id)
);
create index copy_entry_until on copy_entry(copy, vuntil) where vuntil>0;
create table copy_batch (
  copy   text not null,    -- keep tech: which copy
  epoch  bigint not null,  -- keep tech: of which epoch
  serial bigint not null,  -- keep tech: which publication
  body   bytea not null,   -- keep tech: its bytes as they are sent
  digest text not null,    -- keep tech: digest of the copy after it
  count  bigint not null,  -- keep tech: entries in force after it
  at     bigint not null,  -- keep tech: when
  primary key (copy, epoch, serial)
);
create index copy_batch_at on copy_batch(at);
create table copy_restore (
  id     text primary key, -- keep log: which restore
  state  text not null check (state in ('asking','held','released')), -- keep log: where it stands
  at     bigint not null   -- keep log: when
);
create table copy_held (
  copy    text not null,    -- keep case: which copy
  id      text not null,    -- keep case: which entry
  version bigint not null,  -- keep case: its version
  vfrom   bigint not null,  -- keep case: valid from
  vuntil  bigint not null,  -- keep case: valid until
  body    text not null,    -- keep case: what would be published
  primary key (copy, id)
);
create table copy_seen (
  host    text not null,    -- keep tech: which host
  id      text not null,    -- keep tech: which entry
  version bigint not null,  -- keep tech: its version there
  removed boolean not null, -- keep tech: withdrawn there
  vfrom   bigint not null,  -- keep tech: valid from
  vuntil  bigint not null,  -- keep tech: valid until
  body    text not null,    -- keep tech: what is in force there
  primary key (host, id)
);
create table copy_told (
  host text primary key, -- keep tech: who has told what it holds
  at   bigint not null   -- keep tech: when
);
