alter table job add column way text not null default ''; -- keep tech: which outside system it needs
