-- Agents, and what was said with them. Ateneo's own: not part of the search index, and kept when that is rebuilt.

CREATE TABLE ateneo.agent (
  empresa_id     text NOT NULL,
  agent_id       text NOT NULL,
  name           text NOT NULL DEFAULT '',
  instructions   text NOT NULL DEFAULT '',        -- the beginning of its system prompt; empty: the default one
  model          text,                            -- NULL here and below: the settings decide
  language       text,
  k              int NOT NULL DEFAULT 20 CHECK (k BETWEEN 1 AND 200),
  dense_weight   float8 CHECK (dense_weight BETWEEN 0 AND 1),
  filter         jsonb,
  context_tokens int NOT NULL DEFAULT 4000 CHECK (context_tokens > 0),
  answer_tokens  int CHECK (answer_tokens > 0),
  tools          text[] NOT NULL DEFAULT '{search}',
  created_at     timestamptz NOT NULL DEFAULT now(),
  updated_at     timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (empresa_id, agent_id));

CREATE TABLE ateneo.conversation (
  empresa_id      text NOT NULL,
  conversation_id text NOT NULL DEFAULT gen_random_uuid()::text,
  agent_id        text NOT NULL,
  title           text NOT NULL,                  -- the beginning of the first question
  summary         text NOT NULL DEFAULT '',       -- of the messages before position summary_to
  summary_to      int NOT NULL DEFAULT 0,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (empresa_id, conversation_id));
CREATE INDEX conversation_recent ON ateneo.conversation (empresa_id, updated_at DESC, conversation_id);

-- One row a turn: the question, and the answer to it.
CREATE TABLE ateneo.turn (
  empresa_id         text NOT NULL,
  conversation_id    text NOT NULL,
  position           int NOT NULL,                -- from 0
  question           text NOT NULL,
  answer             text NOT NULL,
  state              text NOT NULL,               -- complete, unknown, cut, refused, interrupted, cancelled
  queries            text[] NOT NULL DEFAULT '{}',
  passages           text[] NOT NULL DEFAULT '{}',-- chunk ids, in the order of their numbers
  citations          jsonb NOT NULL DEFAULT '[]',
  citations_dropped  int NOT NULL DEFAULT 0,      -- with the markers that pointed to nothing
  provider           text NOT NULL,
  model              text NOT NULL,
  stop_reason        text,
  error              text,
  input_tokens       int NOT NULL DEFAULT 0,
  output_tokens      int NOT NULL DEFAULT 0,
  cache_read_tokens  int NOT NULL DEFAULT 0,
  cache_write_tokens int NOT NULL DEFAULT 0,
  cost               numeric(12, 6),              -- US dollars; NULL where the model's price is unknown
  latency_ms         int NOT NULL DEFAULT 0,
  first_text_ms      int,
  rating             smallint CHECK (rating IN (-1, 1)),
  comment            text,
  created_at         timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (empresa_id, conversation_id, position),
  FOREIGN KEY (empresa_id, conversation_id) REFERENCES ateneo.conversation ON DELETE CASCADE);
CREATE INDEX turn_rated ON ateneo.turn (empresa_id, created_at) WHERE rating IS NOT NULL;
