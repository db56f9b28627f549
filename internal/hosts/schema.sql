create table host (
  name      text primary key, -- keep tech: its name
  role      text not null,    -- keep tech: what it is for
  join_id   text not null,    -- keep tech: invitation by which it came in
  key_hash  text not null,    -- keep tech: SHA-256 of its public key
  joined_at bigint not null,  -- keep tech: when
  revoked_at bigint not null, -- keep tech: when it was put out; 0 is in
  seen_at   bigint not null,  -- keep tech: last time it asked
  seen_head text not null     -- keep tech: head of the audit chain that it has seen
);
create table host_invitation (
  hash    text primary key, -- keep secret: hash of the one-time secret
  id      text not null,    -- keep tech: name of the invitation
  name    text not null,    -- keep tech: for which host
  role    text not null,    -- keep tech: for which role
  expires bigint not null,  -- keep tech: until when it works
  key_hash text not null    -- keep tech: key that used it; empty: unused
);
create table host_replay (
  host  text primary key, -- keep tech: which host is asked to give again
  id    text not null,    -- keep tech: which wish
  since bigint not null,  -- keep tech: from when on
  items bigint not null,  -- keep tech: how many it has given again
  done  boolean not null  -- keep tech: that was all
);
create table host_heard (
  host   text primary key, -- keep tech: which host
  role   text not null,    -- keep tech: what it is for
  copy   text not null,    -- keep tech: which copy it follows
  epoch  bigint not null,  -- keep tech: what it said that it has
  serial bigint not null,  -- keep tech: what it said that it has
  at     bigint not null   -- keep tech: when a desk last heard it
);
