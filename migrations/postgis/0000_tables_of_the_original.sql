-- Brings the tables that the original service's own program makes up to the documented schema
-- (`docs/mappings/commcare-to-postgis.md`, section 1). They lack defaults, cascades, unique submission ids and
-- four columns, and they call the visits `wetmill_visits`. Every row is kept. Where the tables are as
-- documented, or not there at all, this file changes nothing.
--
-- The file has the number 0000 because 0002 fails on such tables. A database that has run 0001 runs this file
-- next. To run it again does no harm (`deploy/CUTOVER.md`, "Back again").

CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE EXTENSION IF NOT EXISTS postgis;

-- The original may be writing meanwhile. Its transactions lock the tables in the same order.
DO $$
DECLARE
    of_table regclass;
BEGIN
    FOR of_table IN
        SELECT to_regclass(name)
        FROM unnest(ARRAY[
            'wetmills', 'wetmill_visits', 'form_visits', 'survey_responses', 'survey_question_responses'
        ]) WITH ORDINALITY AS names (name, place)
        JOIN pg_class ON oid = to_regclass(name) AND relkind IN ('r', 'p')
        ORDER BY place
    LOOP
        EXECUTE format('LOCK TABLE %s', of_table);
    END LOOP;
END
$$;

-- The visits get their documented name, which foreign keys follow. The old name becomes a view. As a view of
-- one table it takes inserts, updates and deletes.
DO $$
BEGIN
    IF to_regclass('form_visits') IS NULL
        AND EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('wetmill_visits') AND relkind IN ('r', 'p'))
    THEN
        ALTER TABLE wetmill_visits RENAME TO form_visits;
        CREATE VIEW wetmill_visits AS SELECT * FROM form_visits;
    END IF;
END
$$;

-- Whoever may use the table may use the view.
DO $$
DECLARE
    visits CONSTANT regclass = to_regclass('form_visits');
    old_name CONSTANT regclass = (
        SELECT oid FROM pg_class WHERE oid = to_regclass('wetmill_visits') AND relkind = 'v'
    );
    table_owner CONSTANT oid = (SELECT relowner FROM pg_class WHERE oid = visits);
    granted RECORD;
BEGIN
    IF visits IS NULL OR old_name IS NULL THEN
        RETURN;
    END IF;
    IF table_owner <> (SELECT relowner FROM pg_class WHERE oid = old_name) THEN
        EXECUTE format('ALTER VIEW %s OWNER TO %s', old_name, table_owner::regrole);
    END IF;
    FOR granted IN
        SELECT privilege_type AS privilege, grantee, is_grantable
        FROM pg_class, aclexplode(relacl) WHERE oid = visits
        UNION ALL
        SELECT format('%s (%I)', privilege_type, attname), grantee, is_grantable
        FROM pg_attribute, aclexplode(attacl) WHERE attrelid = visits AND NOT attisdropped
    LOOP
        EXECUTE format(
            'GRANT %s ON %s TO %s %s',
            granted.privilege,
            old_name,
            CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END,
            CASE WHEN granted.is_grantable THEN 'WITH GRANT OPTION' END
        );
    END LOOP;
END
$$;

ALTER TABLE IF EXISTS wetmills
    ADD COLUMN IF NOT EXISTS vertical_integration VARCHAR,
    ADD COLUMN IF NOT EXISTS office_entrance_picture VARCHAR,
    ADD COLUMN IF NOT EXISTS date_ba_signature DATE,
    ADD COLUMN IF NOT EXISTS office_gps geometry(Point, 4326);

-- Ids and times get their values from the database.
DO $$
DECLARE
    without_default RECORD;
BEGIN
    FOR without_default IN
        SELECT attrelid::regclass AS of_table, attname AS name,
            CASE attname WHEN 'id' THEN 'uuid_generate_v4()' ELSE 'now()' END AS value
        FROM pg_attribute
        WHERE attrelid IN (
                to_regclass('wetmills'), to_regclass('form_visits'), to_regclass('survey_responses'),
                to_regclass('survey_question_responses')
            )
            AND attname IN ('id', 'created_at', 'updated_at') AND NOT atthasdef
    LOOP
        EXECUTE format(
            'ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s',
            without_default.of_table, without_default.name, without_default.value
        );
    END LOOP;
END
$$;

-- With a row, the rows that belong to it are deleted, too.
DO $$
DECLARE
    parent_key RECORD;
BEGIN
    FOR parent_key IN
        SELECT conrelid::regclass AS of_table, conname AS name, of_column, parent
        FROM (VALUES
            ('form_visits', 'wetmill_id', 'wetmills'),
            ('survey_responses', 'form_visit_id', 'form_visits'),
            ('survey_question_responses', 'survey_response_id', 'survey_responses')
        ) AS parents (of_table, of_column, parent)
        JOIN pg_constraint
            ON conrelid = to_regclass(of_table) AND confrelid = to_regclass(parent)
        WHERE contype = 'f' AND confdeltype <> 'c'
    LOOP
        EXECUTE format(
            'ALTER TABLE %s DROP CONSTRAINT %I,
             ADD CONSTRAINT %I FOREIGN KEY (%I) REFERENCES %I (id) ON DELETE CASCADE',
            parent_key.of_table, parent_key.name, parent_key.name, parent_key.of_column, parent_key.parent
        );
    END LOOP;
END
$$;

CREATE FUNCTION pg_temp.repeats_submission_ids(of_table text) RETURNS boolean LANGUAGE sql AS $$
    SELECT to_regclass(of_table) IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_index
        JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indrelid = to_regclass(of_table) AND attname = 'submission_id'
            AND indisunique AND indnkeyatts = 1 AND indpred IS NULL
    )
$$;

-- A submission id that stands in several rows of a table stays with the oldest row; in each other row
-- the row's own id is put behind it. No form composes such an id. Surveys and answers count as old as
-- their visit: of two visits with one id, the visit that keeps the id keeps its surveys' ids, too.
DO $$
BEGIN
    IF pg_temp.repeats_submission_ids('form_visits') THEN
        UPDATE form_visits AS visit SET submission_id = concat(submission_id, '#', visit.id)
        FROM (
            SELECT id, row_number() OVER (PARTITION BY submission_id ORDER BY created_at, id) AS place
            FROM form_visits
        ) AS ranked
        WHERE ranked.id = visit.id AND place > 1;
        ALTER TABLE form_visits ADD UNIQUE (submission_id);
    END IF;
    IF pg_temp.repeats_submission_ids('survey_responses') THEN
        UPDATE survey_responses AS survey SET submission_id = concat(submission_id, '#', survey.id)
        FROM (
            SELECT survey.id, row_number() OVER (
                PARTITION BY survey.submission_id
                ORDER BY visit.created_at, visit.id, survey.created_at, survey.id
            ) AS place
            FROM survey_responses AS survey LEFT JOIN form_visits AS visit ON visit.id = form_visit_id
        ) AS ranked
        WHERE ranked.id = survey.id AND place > 1;
        ALTER TABLE survey_responses ADD UNIQUE (submission_id);
    END IF;
    IF pg_temp.repeats_submission_ids('survey_question_responses') THEN
        UPDATE survey_question_responses AS answer SET submission_id = concat(submission_id, '#', answer.id)
        FROM (
            SELECT answer.id, row_number() OVER (
                PARTITION BY answer.submission_id
                ORDER BY visit.created_at, visit.id, survey.created_at, survey.id, answer.id
            ) AS place
            FROM survey_question_responses AS answer
            LEFT JOIN survey_responses AS survey ON survey.id = survey_response_id
            LEFT JOIN form_visits AS visit ON visit.id = form_visit_id
        ) AS ranked
        WHERE ranked.id = answer.id AND place > 1;
        ALTER TABLE survey_question_responses ADD UNIQUE (submission_id);
    END IF;
END
$$;

DROP FUNCTION pg_temp.repeats_submission_ids(text);

-- Only `wetmills` has an `updated_at` in the documented schema, so that the service does not write this column
-- of the other tables. Where they have it, a trigger sets it, unless the writer does.
DO $$
DECLARE
    of_table regclass;
BEGIN
    FOR of_table IN
        SELECT attrelid FROM pg_attribute
        WHERE attrelid IN (
                to_regclass('form_visits'), to_regclass('survey_responses'),
                to_regclass('survey_question_responses')
            )
            AND attname = 'updated_at' AND NOT attisdropped
    LOOP
        CREATE OR REPLACE FUNCTION move_updated_at() RETURNS trigger LANGUAGE plpgsql AS $body$
        BEGIN
            IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN
                NEW.updated_at = now();
            END IF;
            RETURN NEW;
        END
        $body$;
        EXECUTE format('DROP TRIGGER IF EXISTS move_updated_at ON %s', of_table);
        EXECUTE format(
            'CREATE TRIGGER move_updated_at BEFORE UPDATE ON %s
             FOR EACH ROW EXECUTE FUNCTION move_updated_at()',
            of_table
        );
    END LOOP;
END
$$;
