create table abuse_nas_proof (
  nas      text primary key, -- keep tech: access server, or other way to the access network
  settings text not null,    -- keep tech: digest of its settings at the proof; others need a new one
  at       bigint not null,  -- keep tech: when the canary session was put in and taken out
  ok       boolean not null, -- keep tech: both were done
  step     text not null,    -- keep tech: where it stopped; empty where it did not
  code     text not null,    -- keep tech: what the access network said
  seen     boolean not null  -- keep tech: what is in force was looked at, not only acknowledged
);
