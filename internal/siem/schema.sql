create table siem_place (
  sink text primary key, -- keep tech: where the audit trail is sent
  seq  bigint not null   -- keep tech: last entry that has arrived there
);
