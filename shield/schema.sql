create table shield_report (
  id          text primary key, -- keep case: name, given by the door
  channel     text not null,    -- keep case: mail, web or api
  host        text not null,    -- keep case: which door took it
  received_at bigint not null,  -- keep case: when the door took it
  committed_at bigint not null, -- keep case: when the desk had it
  read_at     bigint not null,  -- keep case: when it was read
  answered_at bigint not null,  -- keep case: when its outcome was known
  state       text not null check (state in ('received','read','no_observable','unreadable')), -- keep case: where it stands
  outcome     text not null,    -- keep case: waiting, blocked, rejected, training, for_a_person, seen
  tries       bigint not null,  -- keep tech: how often it was tried to be read
  claimed_until bigint not null, -- keep tech: who reads it has until then
  receipt     text not null,    -- keep case: hash of the code that the reporter holds
  token_sealed bytea,           -- keep reply: the code, until the answer is sent
  reply_sealed bytea,           -- keep reply: address of a proved sender who may be answered
  reply       text not null,    -- keep case: yes, or why no answer is sent
  brand       text not null default '', -- keep case: sub-brand of the operator that it was written to; empty is the main one
  message_id_sealed bytea,      -- keep reply: Message-ID of the reporter's mail, for the thread
  mark        text not null,    -- keep case: keyed hash of the reporter, of this month only
  dkim        text not null,    -- keep case: proved signing domain, for quota
  lang        text not null,    -- keep case: language of the answer
  form        text not null,    -- keep case: how the evidence came
  body_ref    text not null,    -- keep case: where the body is, while it is kept
  reading_ref text not null,    -- keep case: where the reading is, while it is kept
  pictures_ref text not null default '', -- keep case: where its pictures are, drawn anew, while they are kept
  warnings    bigint not null   -- keep case: how many things could not be read
);
create index shield_report_state on shield_report(state, received_at, claimed_until);
create index shield_report_hand on shield_report(outcome, id);
create index shield_report_receipt on shield_report(receipt);
create index shield_report_mark on shield_report(mark, received_at);
create index shield_report_received on shield_report(received_at);
create index shield_report_sealed on shield_report(received_at) where token_sealed is not null;
create index shield_report_dkim on shield_report(dkim, received_at);
create table shield_observable (
  id          text primary key,     -- keep case: name
  kind        text not null check (kind in ('fqdn','url')), -- keep case: what it is
  value       text not null unique, -- keep case: host name, or URL without query
  name        text not null,        -- keep case: host name; empty for an address
  registrable text not null,        -- keep case: registrable domain
  first_seen  bigint not null,      -- keep case: first report
  last_seen   bigint not null,      -- keep case: last report
  reports     bigint not null,      -- keep case: how many
  case_id     text not null,        -- keep case: newest case about it
  verdict     text not null,        -- keep case: newest verdict
  assessed_at bigint not null,      -- keep case: when it was judged
  told        bigint not null default 0 -- keep case: how many reports the public was told of last
);
create index shield_observable_case on shield_observable(case_id);
create index shield_observable_quiet on shield_observable(last_seen) where case_id='';
create index shield_observable_told on shield_observable(id) where reports>=5 and reports<>told;
create index shield_observable_name on shield_observable(name);
create table shield_link (
  report     text not null,  -- keep case: which report
  observable text not null,  -- keep case: which observable
  role       text not null,  -- keep case: what it is in the mail
  via        text not null,  -- keep case: the steps that led to it
  nth        bigint not null, -- keep case: how many-eth report of the observable it was
  at         bigint not null, -- keep case: when
  primary key (report, observable)
);
create index shield_link_observable on shield_link(observable, at);
create table shield_evidence (
  observable text not null,  -- keep case: about what
  family     text not null,  -- keep case: name, list, message
  source     text not null,  -- keep case: who says so
  reason     text not null,  -- keep case: stable code
  tier       bigint not null, -- keep case: 1 authoritative, 2 strong, 3 context
  verdict    text not null,  -- keep case: what it says
  detail     text not null,  -- keep case: in words
  brand      text not null,  -- keep case: imitated brand
  version    text not null,  -- keep case: version of the list or rule set
  at         bigint not null, -- keep case: when
  primary key (observable, family, source, reason)
);
create table shield_verdict (
  id         text primary key, -- keep case: name
  observable text not null,    -- keep case: about what
  verdict    text not null,    -- keep case: malicious, suspicious, clean, inconclusive
  why        text not null,    -- keep case: reason where inconclusive
  reasons    text not null,    -- keep case: in words, as JSON
  class      text not null,    -- keep case: phishing and so on
  brand      text not null,    -- keep case: imitated brand
  ruleset    text not null,    -- keep case: version of the rules
  evidence   text not null default '[]', -- keep case: what it was made of, as JSON
  at         bigint not null   -- keep case: when
);
create index shield_verdict_observable on shield_verdict(observable, at);
create table shield_case (
  id       text primary key, -- keep case: the case of desk_case
  observable text not null,  -- keep case: about what
  campaign text not null,    -- keep case: which campaign
  verdict  text not null,    -- keep case: newest verdict
  brand    text not null,    -- keep case: imitated brand
  class    text not null,    -- keep case: phishing and so on
  target   text not null,    -- keep case: name that would be blocked; empty for none
  scope    text not null,    -- keep case: proposed scope
  scope_why text not null,   -- keep case: why this scope, as JSON
  reports  bigint not null,  -- keep case: how many
  reporters bigint not null, -- keep case: how many different ones this month
  first_seen bigint not null, -- keep case: first report
  block    text not null,    -- keep case: the block that came of it
  channels text not null,    -- keep case: by which doors reports of it came, such as ' mail web '
  joined   text not null default '', -- keep case: by which keys it is in its campaign, such as 'K5 K9'
  asked_for text not null default '', -- keep case: what its page was seen to ask for
  owner_says text not null default '' -- keep case: what the owner of the imitated brand says; empty is nothing yet
);
create index shield_case_campaign on shield_case(campaign, first_seen, id);
create index shield_case_brand on shield_case(brand);
create table shield_campaign (
  id         text primary key,     -- keep case: name
  ref        text not null unique, -- keep case: number that people use
  key        text not null unique, -- keep case: brand and name shape
  brand      text not null,        -- keep case: imitated brand
  title      text not null,        -- keep case: what to call it
  first_seen bigint not null,      -- keep case: first report
  last_seen  bigint not null,      -- keep case: last report
  cases      bigint not null,      -- keep case: how many joined it
  reports    bigint not null,      -- keep case: reports about them
  blocks     bigint not null,      -- keep case: how many of them were blocked
  dns        bigint not null,      -- keep case: DNS answers by those blocks
  page       bigint not null,      -- keep case: page views
  tls        bigint not null,      -- keep case: TLS attempts
  asked_for  text not null default '', -- keep case: what its sites ask visitors for
  lively_at  bigint not null default 0, -- keep case: last report or hit
  reopened_at bigint not null default 0, -- keep case: when it came back after it was over; 0 is never
  merged_into text not null default '' -- keep case: campaign that it was merged into
);
create index shield_campaign_seen on shield_campaign(last_seen, id);
create index shield_campaign_lively on shield_campaign(lively_at, id);
create index shield_campaign_merged on shield_campaign(merged_into) where merged_into<>'';
create index shield_campaign_brand on shield_campaign(brand, last_seen);
create table shield_campaign_hour (
  campaign text not null,   -- keep case: which campaign
  hour     bigint not null, -- keep case: the hour that began then
  cases    bigint not null, -- keep case: names that were seen first
  reports  bigint not null, -- keep case: reports
  blocks   bigint not null, -- keep case: names that were blocked
  dns      bigint not null, -- keep case: DNS answers
  page     bigint not null, -- keep case: page views
  tls      bigint not null, -- keep case: TLS attempts
  primary key (campaign, hour)
);
create table shield_campaign_merge (
  id        text primary key, -- keep case: name
  from_id   text not null,    -- keep case: campaign that ended
  into_id   text not null,    -- keep case: campaign that has its cases
  kept      text not null,    -- keep case: what was counted of it until then, as JSON
  actor     text not null,    -- keep case: who merged them
  reason    text not null,    -- keep case: why
  at        bigint not null,  -- keep case: when
  undone_at bigint not null   -- keep case: when it was taken back; 0 is not
);
create index shield_campaign_merge_into on shield_campaign_merge(into_id, at);
create index shield_campaign_merge_from on shield_campaign_merge(from_id, at);
create table shield_campaign_moved (
  merge text not null, -- keep case: which merge
  what  text not null check (what in ('case','hit','merged','key','sibling','hour')), -- keep case: what went over
  ref   text not null, -- keep case: which one
  kept  text not null, -- keep case: as it was, as JSON; empty where the reference says all
  primary key (merge, what, ref)
);
create table shield_key (
  key     text not null,    -- keep case: a trait, such as a shape of names
  holder  text not null,    -- keep case: the campaign that has it, or a case that is in none
  is_case boolean not null, -- keep case: the holder is a case
  strong  boolean not null, -- keep case: it puts cases together by itself
  full_hash text not null,  -- keep case: simhash of the page, of which the trait is a part
  at      bigint not null,  -- keep case: when it was first seen
  primary key (key, holder)
);
create index shield_key_at on shield_key(key, at);
create index shield_key_holder on shield_key(holder);
create table shield_sibling (
  campaign text not null, -- keep case: which campaign
  name    text not null,  -- keep case: a name that nobody reported
  why     text not null,  -- keep case: what it has in common: certificate, form, landing, template, registration
  beside  text not null,  -- keep case: the member that it stands beside, or the shape of the names
  at      bigint not null, -- keep case: when it was proposed
  primary key (campaign, name)
);
create table shield_block (
  id         text primary key,     -- keep case: name
  ref        text not null unique, -- keep case: public reference
  pass       boolean not null,     -- keep case: an exemption
  case_id    text not null,        -- keep case: which case
  order_id   text not null,        -- keep case: which order
  name       text not null,        -- keep case: the name
  scope      text not null,        -- keep case: how much of it
  www        boolean not null,     -- keep case: www. too
  action     text not null,        -- keep case: what is answered
  class      text not null,        -- keep case: phishing and so on
  brand      text not null,        -- keep case: imitated brand
  ground     text not null,        -- keep case: kind of ground
  legal      text not null,        -- keep case: legal ground in words
  by_public  text not null,        -- keep case: who decided, as the public sees it
  reason     text not null,        -- keep case: why
  actor      text not null,        -- keep case: who decided
  second     text not null,        -- keep case: who approved
  compromised boolean not null,    -- keep case: a hacked site of somebody else
  lists      text not null,        -- keep case: versions of lists used, as JSON
  valid_from bigint not null,      -- keep case: start
  valid_until bigint not null,     -- keep case: end; 0 is open
  state      text not null check (state in ('in_force','expired','withdrawn','suspended')), -- keep case: where it stands
  version    bigint not null,      -- keep case: version in the copy
  epoch      bigint not null,      -- keep case: publication
  serial     bigint not null,      -- keep case: publication
  ended_at   bigint not null,      -- keep case: when it ended
  ended_by   text not null,        -- keep case: who or what ended it
  ended_why  text not null,        -- keep case: false_positive, appeal, cleaned, error, expired, order, quiet, tripwire
  ended_reason text not null,      -- keep case: in words
  ended_serial bigint not null,    -- keep case: publication without it
  made_at    bigint not null,      -- keep case: when it was decided
  reported_at bigint not null,     -- keep case: when the first report about it came in; 0 is nobody reported it
  read_at    bigint not null,      -- keep case: when the first report was read
  suspicious boolean not null default false, -- keep case: the rules were not sure
  asked_for  text not null default '' -- keep case: what the site asks visitors for
);
create unique index shield_block_in_force on shield_block(name, scope, pass) where state='in_force' and order_id='';
create index shield_block_name on shield_block(name, state);
create index shield_block_until on shield_block(valid_until) where state='in_force';
create index shield_block_case on shield_block(case_id);
create index shield_block_brand on shield_block(brand, made_at);
create index shield_block_made on shield_block(made_at, reported_at);
create index shield_block_gone on shield_block(ended_at) where state<>'in_force';
create index shield_block_list on shield_block(pass, state, id, name, order_id);
create index shield_block_since on shield_block(serial) where state='in_force';
create index shield_block_left on shield_block(ended_serial) where state<>'in_force';
create index shield_block_ended on shield_block(ended_by, ended_at) where state<>'in_force';
create table shield_stand (
  name   text primary key, -- keep tech: which edge, agent, relay or resolver
  kind   text not null,    -- keep tech: edge, agent, relay or resolver
  epoch  bigint not null,  -- keep tech: of the last publication that it has; of a relay that its edges have
  serial bigint not null,  -- keep tech: the last publication that it has; of a relay that its edges have
  at     bigint not null,  -- keep tech: when it was last heard of
  behind bigint not null,  -- keep tech: since when there is something newer; 0 is not
  via    text not null default '' -- keep tech: relay that it keeps up with, whose row says the rest; empty: its own does
);
create table shield_reached (
  epoch  bigint not null, -- keep case: of the publication
  name   text not null,   -- keep case: which edge, relay with its edges, or resolver
  serial bigint not null, -- keep case: the publication
  at     bigint not null, -- keep case: when it was first known to have it
  primary key (epoch, name, serial)
);
create index shield_reached_at on shield_reached(at);
create table shield_pulse (
  kind    text not null,    -- keep tech: edge, agent or resolver
  name    text not null,    -- keep tech: which one
  turn    bigint not null,  -- keep tech: of the desk's own name that is blocked and let pass by turns
  at      bigint not null,  -- keep tech: when that was decided
  blocked boolean not null, -- keep tech: whether it was a block
  took    bigint not null,  -- keep tech: until it was in force, in microseconds; 0 not yet
  problem text not null,    -- keep tech: what was answered instead
  answer  bigint not null,  -- keep tech: how long a question took to be resolved, in microseconds; below 0 it was not, 0 is none
  primary key (kind, name, turn)
);
create index shield_pulse_at on shield_pulse(at);
create table shield_undo (
  id     text primary key, -- keep case: entry of the feed that passes a withdrawn name
  block  text not null,    -- keep case: which block
  name   text not null,    -- keep case: its name
  serial bigint not null,  -- keep tech: publication without the block
  at     bigint not null   -- keep tech: when
);
create table shield_hits (
  edge   text not null,    -- keep figure: which edge
  boot   text not null,    -- keep figure: counted since this start
  bucket bigint not null,  -- keep figure: five minutes that began then
  block  text not null,    -- keep figure: which block
  dns    bigint not null,  -- keep figure: DNS answers
  page   bigint not null,  -- keep figure: page views
  tls    bigint not null,  -- keep figure: TLS attempts
  primary key (edge, boot, bucket, block)
);
create index shield_hits_block on shield_hits(block, bucket);
create index shield_hits_bucket on shield_hits(bucket);
create table shield_day (
  day   bigint not null, -- keep figure: day of UTC, in days since 1970
  month bigint not null, -- keep figure: its month, as 202611
  what  text not null,   -- keep figure: what was counted, such as reports.channel
  kind  text not null,   -- keep figure: of which kind, such as mail; a step of a histogram
  n     bigint not null, -- keep figure: how many
  primary key (day, what, kind)
);
create index shield_day_month on shield_day(month, what, kind, day, n);
create table shield_day_closed (
  day bigint primary key, -- keep figure: a day that was counted
  at  bigint not null     -- keep figure: when; 0 while it is being counted
);
create table shield_hit_total (
  block    text primary key, -- keep figure: which block
  campaign text not null,    -- keep figure: of which campaign
  dns      bigint not null,  -- keep figure: DNS answers so far
  page     bigint not null,  -- keep figure: page views so far
  tls      bigint not null,  -- keep figure: TLS attempts so far
  first    bigint not null   -- keep figure: the five minutes of the first
);
create table shield_hit_hour (
  hour bigint primary key, -- keep figure: the hour that began then
  dns  bigint not null,    -- keep figure: DNS answers
  page bigint not null,    -- keep figure: page views
  tls  bigint not null     -- keep figure: TLS attempts
);
create table shield_edge_pass (
  id   text primary key, -- keep case: name
  edge text not null,    -- keep case: where
  name text not null,    -- keep case: what was let pass
  until bigint not null, -- keep case: how long
  at   bigint not null   -- keep case: when
);
create table shield_list (
  name    text primary key, -- keep tech: which list
  version text not null,    -- keep tech: accepted version
  size    bigint not null,  -- keep tech: names in it
  state   text not null,    -- keep tech: loaded, held or failed
  why     text not null,    -- keep tech: why it is held or failed
  at      bigint not null   -- keep tech: when
);
create table shield_order_report (
  issuer     text primary key, -- keep tech: which issuer is told of its orders
  changed_at bigint not null,  -- keep tech: changes up to then are told
  order_id   text not null,    -- keep tech: and up to this order of that time
  day        text not null     -- keep tech: last day whose counts are told
);
create table shield_release (
  issuer text primary key, -- keep tech: whose orders a person has released
  actor  text not null,    -- keep tech: who
  at     bigint not null   -- keep tech: when: what came later is not meant
);
create table shield_settle (
  case_id text primary key, -- keep tech: a decided case whose reports are still to be told
  at      bigint not null   -- keep tech: when it was decided
);
create table shield_filter (
  id     text primary key, -- keep tech: name
  person text not null,    -- keep tech: whose account keeps it
  name   text not null,    -- keep tech: what the person calls it
  query  text not null,    -- keep tech: which cases it shows, as an address has it
  at     bigint not null   -- keep tech: when it was saved
);
create unique index shield_filter_name on shield_filter(person, name);
create table shield_registration (
  name    text primary key, -- keep case: registrable domain
  state   text not null check (state in ('waiting','known','failed')), -- keep case: where it stands
  due_at  bigint not null,  -- keep tech: when it is to be asked about
  tries   bigint not null,  -- keep tech: how often it was asked about
  known   text not null,    -- keep case: what registry and DNS answered, as JSON
  created_at bigint not null, -- keep case: when it was registered; 0 is not known
  at      bigint not null   -- keep case: when that was answered
);
create index shield_registration_due on shield_registration(due_at) where state='waiting';
create index shield_observable_registrable on shield_observable(registrable, last_seen);
create table shield_certificate (
  name    text primary key, -- keep case: name that looks like a protected brand's
  brand   text not null,    -- keep case: which brand
  kind    text not null,    -- keep case: in what it is like it
  issuer  text not null,    -- keep case: who issued the certificate
  log     text not null,    -- keep case: which transparency log has it
  nth     bigint not null,  -- keep case: where in that log
  at      bigint not null,  -- keep case: when the log took the first one
  looked  bigint not null   -- keep case: when a person opened a case or put it aside; 0 is not yet
);
create index shield_certificate_at on shield_certificate(at, name);
create table shield_log_place (
  log  text primary key, -- keep tech: which transparency log
  next bigint not null,  -- keep tech: where to go on
  size bigint not null,  -- keep tech: how many certificates it had
  at   bigint not null   -- keep tech: when it was last read
);
create table shield_auto (
  case_id text primary key, -- keep case: which case
  class   text not null,    -- keep case: phishing and so on
  mode    text not null check (mode in ('shadow','on')), -- keep case: what rules did by themselves then
  source  text not null,    -- keep case: what the decision goes back to: a list, a platform, a suffix
  why     text not null,    -- keep case: guards that leave it to people, as JSON
  at      bigint not null,  -- keep case: when rules would have blocked it, or did; 0 is never
  looked  bigint not null,  -- keep case: when they last looked
  block   text not null     -- keep case: the block that came of it
);
create index shield_auto_at on shield_auto(mode, at) where at>0;
create table shield_auto_due (
  observable text primary key, -- keep tech: of which rules are to look at the case
  at         bigint not null   -- keep tech: since when
);
create table shield_in_use (
  case_id text primary key, -- keep case: which case
  at      bigint not null   -- keep case: when the list in use today had its name first
);
create table shield_asked (
  name        text not null,   -- keep figure: a name that customers asked for; never who
  registrable text not null,   -- keep figure: its registrable domain
  day         bigint not null, -- keep figure: day of UTC, in days since 1970
  edge        text not null,   -- keep figure: which edge counted
  boot        text not null,   -- keep figure: counted since this start
  n           bigint not null, -- keep figure: about how often
  primary key (name, day, edge, boot)
);
create index shield_asked_registrable on shield_asked(registrable, day);
create index shield_asked_day on shield_asked(day);
create table shield_recheck (
  block    text not null,   -- keep case: which block
  nth      bigint not null, -- keep case: how many-eth look
  due_at   bigint not null, -- keep case: when it is due
  asked_at bigint not null, -- keep case: when it was asked for; 0 is not yet
  at       bigint not null, -- keep case: when somebody looked; 0 is not yet
  live     text not null,   -- keep case: what was found
  profiles bigint not null, -- keep case: as how many different visitors
  hash     text not null,   -- keep case: of the page's structure or its kit
  primary key (block, nth)
);
create index shield_recheck_due on shield_recheck(due_at) where at=0;
create table shield_trip (
  block text primary key, -- keep case: which block
  did   text not null check (did in ('alert','suspend')), -- keep case: what the tripwire did
  hits  bigint not null,  -- keep case: DNS answers in five minutes
  edges bigint not null,  -- keep case: at how many edges
  at    bigint not null   -- keep case: when
);
create index shield_trip_at on shield_trip(at);
create table shield_visit (
  observable text primary key, -- keep case: what is looked at
  url        text not null,    -- keep case: the page, without what names the reporter
  state      text not null check (state in ('waiting','open','seen','never')), -- keep case: where it stands
  why        text not null,    -- keep case: why it is never visited
  due_at     bigint not null,  -- keep case: when it is to be visited; 0 is not
  task       text not null,    -- keep case: the open task; empty for none
  opened_at  bigint not null,  -- keep case: when the task was given to the probes
  left_over  bigint not null,  -- keep case: visits of the task that are still to come in
  rounds     bigint not null,  -- keep case: how often all visits came in
  lost       bigint not null,  -- keep tech: tasks in a row that no probe answered
  live       text not null check (live in ('unknown','online','offline','parked','cloaked','benign_now')), -- keep case: what the last round found
  live_since bigint not null,  -- keep case: since when rounds find the same
  live_rounds bigint not null, -- keep case: how many rounds in a row
  seen_at    bigint not null   -- keep case: when the last round came in
);
create index shield_visit_due on shield_visit(due_at) where due_at>0;
create index shield_visit_task on shield_visit(task) where task<>'';
create table shield_capture (
  id         text primary key, -- keep case: name, given by the probe
  observable text not null,    -- keep case: about what
  task       text not null,    -- keep case: for which task
  host       text not null,    -- keep case: which probe
  profile    text not null,    -- keep case: as whom: desktop or phone
  lang       text not null,    -- keep case: in which language
  at         bigint not null,  -- keep case: when the page was looked at
  bundle     text not null,    -- keep case: digest of the capture
  picture    text not null,    -- keep case: digest of the picture that is shown
  state      text not null check (state in ('received','read','unreadable')), -- keep case: where it stands
  tries      bigint not null,  -- keep tech: how often it was tried to be read
  claimed_until bigint not null, -- keep tech: who reads it has until then
  seen       text not null     -- keep case: what was read out of it, as JSON
);
create unique index shield_capture_once on shield_capture(task, profile, lang);
create index shield_capture_observable on shield_capture(observable, at);
create index shield_capture_bundle on shield_capture(bundle);
create index shield_capture_picture on shield_capture(picture) where picture<>'';
create index shield_capture_waits on shield_capture(claimed_until) where state='received';
create table shield_page (
  digest text primary key, -- keep case: SHA-256 of the content
  size   bigint not null,  -- keep case: octets of the content
  month  text not null,    -- keep case: month of its key
  body_sealed bytea not null, -- keep case: a capture of a suspect page, or a picture of it, compressed
  at     bigint not null   -- keep case: when it was first written
);
create index shield_page_month on shield_page(month);
create table shield_warning (
  id         text primary key,     -- keep log: name
  ref        text not null unique, -- keep log: number that people use
  brand      text not null,        -- keep log: whom the messages pretend to come from; empty for nobody
  names      text not null,        -- keep log: names that it is about, separated by spaces
  words      text not null,        -- keep log: what the public reads, in each language, as JSON
  actor      text not null,        -- keep log: who wrote it
  made_at    bigint not null,      -- keep log: when
  valid_until bigint not null,     -- keep log: when it ends by itself
  ended_at   bigint not null,      -- keep log: when a person ended it; 0 is nobody did
  ended_by   text not null         -- keep log: who
);
create index shield_warning_list on shield_warning(id, valid_until);
create table shield_notice (
  id         text primary key,     -- keep case: name
  ref        text not null unique, -- keep case: number that people use
  case_id    text not null,        -- keep case: which case
  block      text not null,        -- keep case: which block; empty before a decision
  about      text not null,        -- keep case: the name that it is about
  kind       text not null,        -- keep case: authority, browsers, brand, host, registrar or owner
  who        text not null,        -- keep case: recipient, as the configuration or the registry calls it
  to_text    text not null,        -- keep case: mail address of a function, or address of an API
  api        boolean not null,     -- keep case: by an API
  lang       text not null,        -- keep case: language
  correction boolean not null,     -- keep case: takes back an earlier notice
  subject    text not null,        -- keep case: as it goes out; nothing of a report but the page
  body       text not null,        -- keep case: as it goes out; nothing of a report but the page
  report     text not null,        -- keep case: what programs read of it, as JSON
  message_id text not null,        -- keep case: ours, at random: who answers knows it
  state      text not null check (state in ('held','waiting','sent','receipt','refused','returned','given_up','dropped','dry')), -- keep case: where it stands
  tries      bigint not null,      -- keep tech: how often it was tried
  error      text not null,        -- keep case: what went wrong last
  receipt    text not null,        -- keep case: what the recipient called it
  made_at    bigint not null,      -- keep case: when
  sent_at    bigint not null,      -- keep case: when it left
  receipt_at bigint not null       -- keep case: when the receipt came
);
create unique index shield_notice_once on shield_notice(case_id, to_text, correction);
create index shield_notice_state on shield_notice(state, id);
create index shield_notice_sent on shield_notice(sent_at, to_text) where sent_at>0;
create unique index shield_notice_message on shield_notice(message_id);
create table shield_notice_untold (
  case_id text not null,   -- keep case: which case
  kind    text not null,   -- keep case: authority, browsers, brand, host, registrar or owner
  who     text not null,   -- keep case: recipient, where one is known
  tried   text not null,   -- keep case: what was tried to find an address, as JSON
  at      bigint not null, -- keep case: when
  primary key (case_id, kind, who)
);
create table shield_notice_returned (
  address text primary key, -- keep log: mail address of a function, which is used no more
  notice  text not null,    -- keep log: id of the notice that came back
  why     text not null,    -- keep log: what the other server said
  at      bigint not null   -- keep log: when
);
create table shield_notice_first (
  first text primary key, -- keep log: recipient or kind whose first notice a person has read
  actor text not null,    -- keep log: who
  at    bigint not null   -- keep log: when
);
create table shield_owner_answer (
  id      text primary key, -- keep case: name
  brand   text not null,    -- keep case: for which brand
  name    text not null,    -- keep case: of what
  case_id text not null,    -- keep case: the case about it; empty for none
  says    text not null check (says in ('imitates','ours','unrelated')), -- keep case: what the brand's owner says
  reason  text not null,    -- keep case: why, in its words
  actor   text not null,    -- keep case: who said so
  at      bigint not null   -- keep case: when
);
create index shield_owner_answer_name on shield_owner_answer(brand, name, at);
create index shield_owner_answer_case on shield_owner_answer(case_id);
create index shield_owner_answer_actor on shield_owner_answer(actor, at);
create index shield_owner_answer_at on shield_owner_answer(at, id);
create table shield_brand_domain (
  id         text primary key, -- keep case: name
  brand      text not null,    -- keep case: whose it is
  name       text not null,    -- keep case: the domain; all below is the brand's too
  state      text not null check (state in ('given','second','in_force','refused','ended')), -- keep case: where it stands
  why        text not null,    -- keep case: why it is the brand's, in its owner's words
  actor      text not null,    -- keep case: who gave it
  at         bigint not null,  -- keep case: when
  decided_by text not null,    -- keep case: who took it over or refused it
  second     text not null,    -- keep case: who approved that, where it took two
  decided_at bigint not null,  -- keep case: when; 0 is not yet
  reason     text not null,    -- keep case: why it was taken over or refused
  review_at  bigint not null,  -- keep case: when somebody looks again whether it is still the brand's; 0 is not
  ended_by   text not null,    -- keep case: who took it back
  ended_at   bigint not null,  -- keep case: when; 0 is not
  ended_why  text not null,    -- keep case: why
  changed_at bigint not null   -- keep tech: last change
);
create unique index shield_brand_domain_one on shield_brand_domain(name, brand) where state in ('given','second','in_force');
create unique index shield_brand_domain_own on shield_brand_domain(name) where state='in_force';
create index shield_brand_domain_state on shield_brand_domain(state, at, id);
create index shield_brand_domain_brand on shield_brand_domain(brand, at);
create index shield_brand_domain_actor on shield_brand_domain(actor, at);
create table shield_picture (
  report  text primary key, -- keep case: whose pictures wait
  state   text not null check (state in ('queued','person')), -- keep tech: for a reader, or for a person to look at
  tries   bigint not null,  -- keep tech: how often they were tried to be read
  claimed_until bigint not null -- keep tech: who reads them has until then
);
create index shield_picture_state on shield_picture(state, report);
