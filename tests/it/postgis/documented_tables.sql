-- The schema as the original service documents it (docs/schema.md), with the other system's table of users.
CREATE EXTENSION "uuid-ossp";
CREATE EXTENSION postgis;

CREATE TABLE tbl_users (
    user_id UUID PRIMARY KEY,
    user_name VARCHAR NOT NULL,
    sf_user_id VARCHAR(50)
);

CREATE TABLE wetmills (
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
    office_gps geometry(Point,4326),
    user_id UUID REFERENCES tbl_users(user_id),
    created_at TIMESTAMP DEFAULT now(),
    updated_at TIMESTAMP DEFAULT now()
);
CREATE TABLE form_visits (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    submission_id VARCHAR UNIQUE NOT NULL,
    wetmill_id UUID REFERENCES wetmills(id) ON DELETE CASCADE,
    user_id UUID,
    form_name VARCHAR NOT NULL,
    visit_date TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    entrance_photograph VARCHAR,
    geo_location geometry(Point,4326),
    created_at TIMESTAMP DEFAULT now()
);
CREATE TABLE survey_responses (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    submission_id VARCHAR UNIQUE NOT NULL,
    form_visit_id UUID REFERENCES form_visits(id) ON DELETE CASCADE,
    survey_type VARCHAR NOT NULL,
    completed_date TIMESTAMP WITHOUT TIME ZONE,
    general_feedback TEXT,
    created_at TIMESTAMP DEFAULT now()
);
CREATE TABLE survey_question_responses (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    submission_id VARCHAR UNIQUE NOT NULL,
    survey_response_id UUID REFERENCES survey_responses(id) ON DELETE CASCADE,
    section_name VARCHAR,
    question_name VARCHAR NOT NULL,
    field_type VARCHAR NOT NULL,
    value_text TEXT,
    value_number DOUBLE PRECISION,
    value_boolean BOOLEAN,
    value_date TIMESTAMP WITHOUT TIME ZONE,
    value_gps geometry(Point,4326)
);
