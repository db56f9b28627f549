create table desk_lease (
  name   text primary key, -- keep tech: what there is one of
  holder text not null,    -- keep tech: which desk has it; empty is nobody
  token  bigint not null,  -- keep tech: raised by each taking: the fence
  beat   bigint not null   -- keep tech: raised by the holder while it lives
);
create table desk_seat (
  desk  text primary key, -- keep tech: a running desk
  label text not null,    -- keep tech: its machine, for people
  at    bigint not null   -- keep tech: its last sign of life
);
create table desk_key (
  name   text primary key, -- keep tech: which key the desks share
  digest text not null,    -- keep tech: tells it from others; says nothing of it
  at     bigint not null   -- keep tech: since when
);
