create table abuse_contact (
  mark       text primary key, -- keep contact: keyed hash of the subscriber, of the month in which it was told
  month      text not null,    -- keep contact: month of its key
  never      boolean not null, -- keep contact: never to be put in quarantine
  vulnerable boolean not null, -- keep contact: somebody there depends on the line
  business   boolean not null, -- keep contact: a business
  reseller   boolean not null, -- keep contact: the addresses are given on to others
  detail_sealed bytea not null, -- keep contact: how to reach the subscriber
  at         bigint not null   -- keep contact: when it was told last
);
create index abuse_contact_at on abuse_contact(at);
create table abuse_contact_bad (
  mark   text primary key, -- keep contact: keyed hash of a mail address
  status text not null,    -- keep contact: with which status a mail to it came back (RFC 3463)
  at     bigint not null   -- keep contact: when
);
create index abuse_contact_bad_at on abuse_contact_bad(at);
