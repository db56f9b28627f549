create table account (
  id         text primary key,      -- keep staff: name of the account
  login      text not null unique,  -- keep staff: what the person types to log in
  role       text not null check (role in ('viewer','analyst','duty_officer','admin','privacy_officer','brand_owner')), -- keep staff: what the person may do
  role_since bigint not null,       -- keep staff: since when; a young role may not approve
  made_at    bigint not null,       -- keep staff: when it was made; a young account may not approve
  exempt     boolean not null,      -- keep staff: made over the admin socket before the first publication, role unchanged since
  state      text not null check (state in ('invited','active','disabled')), -- keep staff: how it stands
  ended_at   bigint not null,       -- keep staff: when it was disabled last; 0 is never
  password   text not null,         -- keep secret: argon2id hash; empty before the invitation is accepted
  seen_at    bigint not null,       -- keep staff: when the person last logged in
  mail       text not null,         -- keep staff: where the person is told that something waits; may be empty
  issuer     text not null,         -- keep staff: log-in provider that answers for the person; empty for an account of our own
  subject    text not null,         -- keep staff: what that provider calls the person
  glass_until  bigint not null,     -- keep staff: end of a break-glass account; 0 for everybody else
  glass_opened bigint not null,     -- keep staff: when its seal was broken; 0 is whole
  brands     text not null default '[]' -- keep staff: brands that a brand owner answers for, as JSON
);
create unique index account_subject on account(issuer, subject) where issuer<>'';
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
  made_at bigint not null,                       -- keep secret: when; it ends a working day later
  seen_at bigint not null,                       -- keep secret: last use; it ends an idle hour later
  agent   text not null,                         -- keep secret: family of the browser, so that its owner knows it again
  proved_at bigint not null,                     -- keep secret: when its person last showed who it is; an approval needs a fresh proof
  setup   boolean not null                       -- keep secret: may do nothing but set a password or a passkey
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
create table account_passkey (
  id         text primary key,                     -- keep secret: name of the passkey on pages
  credential text not null unique,                 -- keep secret: id of the credential, as the browser tells it
  account    text not null references account(id), -- keep secret: whose it is
  name       text not null,                        -- keep secret: what its owner calls it
  record     text not null,                        -- keep secret: public key and sign counter, as JSON
  made_at    bigint not null,                      -- keep secret: when
  used_at    bigint not null                       -- keep secret: last use; 0 is never
);
create index account_passkey_account on account_passkey(account);
create table account_recovery (
  hash    text primary key,                      -- keep secret: SHA-256 of a recovery code
  account text not null references account(id)   -- keep secret: whom it lets in, once
);
create index account_recovery_account on account_recovery(account);
create table account_used (
  hash    text primary key,                      -- keep secret: SHA-256 of a question that a passkey has answered
  expires bigint not null                        -- keep secret: until when the question would count
);
create table account_away (
  state   text primary key,                      -- keep secret: SHA-256 of the state of a log-in at a provider
  account text not null,                         -- keep secret: whose session had ended; empty where nobody knows
  form    bytea not null,                        -- keep secret: the form that waits for the way back, sealed
  expires bigint not null                        -- keep secret: until when it waits
);
create table account_held (
  id      text primary key,                      -- keep secret: name
  account text not null unique references account(id), -- keep secret: who filled the form in
  form    bytea not null,                        -- keep secret: the form that came when the session had ended, sealed
  expires bigint not null                        -- keep secret: until when it is kept
);
