-- Wet mills, their visits and the answers given there: the documented schema
-- (`original-readme.md`, "PostgreSQL Schema"), also over tables of the original service.

CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE EXTENSION IF NOT EXISTS postgis;

-- Another system owns it: what stands here is only what the wet mills refer to.
CREATE TABLE IF NOT EXISTS tbl_users (
    user_id UUID PRIMARY KEY,
    sf_user_id VARCHAR(50)
);

-- An older installation calls the visits `wetmill_visits`. Foreign keys follow the new name.
DO $$
BEGIN
    IF to_regclass('form_visits') IS NULL
        AND EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('wetmill_visits') AND relkind IN ('r', 'p'))
    THEN
        ALTER TABLE wetmill_visits RENAME TO form_visits;
        -- A view of one table takes inserts, updates and deletes.
        CREATE VIEW wetmill_visits AS SELECT * FROM form_visits;
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS wetmills (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    wet_mill_unique_id VARCHAR NOT NULL,
    commcare_case_id VARCHAR UNIQUE,
    name VARCHAR,
    mill_status VARCHAR,
    exporting_status VARCHAR,
    vertical_integration VARCHAR,
    manager_name VARCHAR,
    manager_role VARCHAR,
    programme VARCHAR,
    country VARCHAR,
    comments TEXT,
    ba_signature VARCHAR,
    manager_signature VARCHAR,
    tor_page_picture VARCHAR,
    office_entrance_picture VARCHAR,
    registration_date DATE,
    date_ba_signature DATE,
    office_gps geometry(Point, 4326),
    user_id UUID REFERENCES tbl_users (user_id),
    created_at TIMESTAMP DEFAULT now(),
    updated_at TIMESTAMP DEFAULT now()
);

CREATE TABLE IF NOT EXISTS form_visits (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    submission_id VARCHAR UNIQUE NOT NULL,
    wetmill_id UUID REFERENCES wetmills (id) ON DELETE CASCADE,
    user_id UUID,
    form_name VARCHAR NOT NULL,
    visit_date TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    entrance_photograph VARCHAR,
    geo_location geometry(Point, 4326),
    created_at TIMESTAMP DEFAULT now()
);

CREATE TABLE IF NOT EXISTS survey_responses (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    submission_id VARCHAR UNIQUE NOT NULL,
    form_visit_id UUID REFERENCES form_visits (id) ON DELETE CASCADE,
    survey_type VARCHAR NOT NULL,
    completed_date TIMESTAMP WITHOUT TIME ZONE,
    general_feedback TEXT,
    created_at TIMESTAMP DEFAULT now()
);

CREATE TABLE IF NOT EXISTS survey_question_responses (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    submission_id VARCHAR UNIQUE NOT NULL,
    survey_response_id UUID REFERENCES survey_responses (id) ON DELETE CASCADE,
    section_name VARCHAR,
    question_name VARCHAR NOT NULL,
    field_type VARCHAR NOT NULL,
    value_text TEXT,
    value_number DOUBLE PRECISION,
    value_boolean BOOLEAN,
    value_date TIMESTAMP WITHOUT TIME ZONE,
    value_gps geometry(Point, 4326)
);
