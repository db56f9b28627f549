create table abuse_view (
  id     text primary key, -- keep view: name
  view   text not null check (view in ('opt_out','opt_in')), -- keep view: which blocks the subscriber sees
  until  bigint not null,  -- keep view: when it ends by itself; 0 is open
  month  text not null,    -- keep view: month of its key
  subscriber_sealed bytea not null, -- keep view: who chose it
  at     bigint not null   -- keep view: when
);
create table abuse_view_turn (
  one  bigint primary key, -- keep tech: 1
  turn bigint not null,    -- keep tech: another with each change of abuse_view
  version bigint not null  -- keep tech: the highest version of an entry of the copy
);
create table abuse_view_hold (
  id      text primary key, -- keep view: quarantine that it belongs to
  profile text not null check (profile in ('leaky','strict')), -- keep view: what the line may reach
  until   bigint not null,  -- keep view: when it ends by itself
  month   text not null,    -- keep view: month of its key
  mark    text not null,    -- keep view: keyed hash of whose it is
  hold_sealed bytea not null, -- keep view: whose it is, and what their page shows
  at      bigint not null   -- keep view: when
);
create index abuse_view_hold_mark on abuse_view_hold(mark);
create index abuse_view_hold_until on abuse_view_hold(until);
create table abuse_view_line (
  net     bytea primary key, -- keep session: prefix that has the view just now, 16 octets and its length
  choice  text not null,   -- keep session: which row of abuse_view, or of abuse_view_hold
  view    text not null,   -- keep session: what the edges were told
  nas     text not null,   -- keep session: its access server
  guest   text not null,   -- keep session: digest of what its page shows; empty: it has none
  until   bigint not null  -- keep session: when it ends unless the session is heard of
);
create index abuse_view_line_choice on abuse_view_line(choice);
create index abuse_view_line_nas on abuse_view_line(nas);
create index abuse_view_line_until on abuse_view_line(until);
