create table account (
  id         text primary key,      -- keep staff: name of the account
  login      text not null unique,  -- keep staff: what the person types to log in
  role       text not null check (role in ('viewer','analyst','duty_officer','admin')), -- keep staff: what the person may do
  role_since bigint not null,       -- keep staff: since when; a young role may not approve
  made_at    bigint not null,       -- keep staff: when it was made; a young account may not approve
  exempt     boolean not null,      -- keep staff: made over the admin socket before the first publication, role unchanged since
  state      text not null check (state in ('invited','active','disabled')), -- keep staff: how it stands
  password   text not null,         -- keep secret: argon2id hash; empty before the invitation is accepted
  seen_at    bigint not null        -- keep staff: when the person last logged in
);
create table account_invitation (
  hash    text primary key,                        -- keep secret: SHA-256 of the code
  account text not null references account(id),    -- keep secret: whom it lets in
  kind    text not null check (kind in ('password','login')), -- keep secret: to set a password, or to log in once
  expires bigint not null                          -- keep secret: until when it may be used
);
create index account_invitation_account on account_invitation(account);
create table account_session (
  hash    text primary key,                      -- keep secret: SHA-256 of the cookie
  id      text not null unique,                  -- keep secret: name of the session on pages
  account text not null references account(id),  -- keep secret: who is logged in
  made_at bigint not null,                       -- keep secret: when; it ends 12 h later
  seen_at bigint not null,                       -- keep secret: last use; it ends 60 min later
  agent   text not null                          -- keep secret: family of the browser, so that its owner knows it again
);
create index account_session_account on account_session(account);
create table account_device (
  hash    text primary key,                      -- keep secret: SHA-256 of the cookie of a browser that has logged in
  account text not null references account(id),  -- keep secret: as whom
  expires bigint not null                        -- keep secret: until when it counts as known
);
create index account_device_account on account_device(account);
create table account_token (
  id      text primary key,                      -- keep staff: name of the token
  hash    text not null unique,                  -- keep secret: SHA-256 of the token
  account text not null references account(id),  -- keep staff: for whom it acts
  name    text not null,                         -- keep staff: what it is for, in its owner's words
  scopes  text not null,                         -- keep staff: what it may do, by commas
  made_at bigint not null,                       -- keep staff: when
  expires bigint not null,                       -- keep staff: until when
  used_at bigint not null                        -- keep staff: last use, to the hour
);
create index account_token_account on account_token(account);
