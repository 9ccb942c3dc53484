-- Which version of the schema this database has, and the oldest program that may go on with it (docs/adr/0033-versions.md).
CREATE TABLE ateneo.schema_version (
  only_one         boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  version          int NOT NULL,                 -- the highest number of a migration that the upgrading program had
  least_compatible int NOT NULL CHECK (least_compatible <= version),
  upgraded_at      timestamptz NOT NULL DEFAULT now());

-- Each text of each function file that was ever installed here: a program whose text is among the former ones is older than
-- the database. `made` is a digest of what the file left in the catalogs. From here on `ateneo.applied` keeps migrations
-- only; its rows of functions stay as they are, since programs from before this table compare them.
CREATE TABLE ateneo.function_file (
  name         text NOT NULL,
  sha256       text NOT NULL,
  is_current   boolean NOT NULL DEFAULT true,
  made         text,
  installed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (name, sha256));
CREATE UNIQUE INDEX function_file_current ON ateneo.function_file (name) WHERE is_current;
