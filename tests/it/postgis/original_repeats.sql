INSERT INTO tbl_roles VALUES ('00000000-0000-4000-8000-00000000e001');
INSERT INTO tbl_users (user_id, sf_user_id, user_password, role_id, account_status)
VALUES ('00000000-0000-4000-8000-00000000f001', '005old', '', '00000000-0000-4000-8000-00000000e001', 'active');

INSERT INTO wetmills (id, user_id, wet_mill_unique_id, commcare_case_id, name, wetmill_counter, registration_date)
VALUES ('00000000-0000-4000-8000-00000000a001', '00000000-0000-4000-8000-00000000f001', 'KE-1', 'case-m', 'Old name', 7, '2025-01-01');

-- The second is the oldest; of the third no age is known.
INSERT INTO wetmill_visits (id, wetmill_id, form_name, visit_date, geo_location, submission_id, created_at, updated_at)
VALUES
    ('00000000-0000-4000-8000-00000000b001', '00000000-0000-4000-8000-00000000a001', 'first', '2025-01-02', NULL, 'WV-v', '2025-01-04', '2025-01-04'),
    ('00000000-0000-4000-8000-00000000b002', '00000000-0000-4000-8000-00000000a001', 'second', '2025-01-02', ST_SetSRID(ST_MakePoint(37, -0.4), 4326), 'WV-v', '2025-01-03', '2025-01-03'),
    ('00000000-0000-4000-8000-00000000b003', '00000000-0000-4000-8000-00000000a001', 'third', '2025-01-02', NULL, 'WV-v', NULL, NULL),
    ('00000000-0000-4000-8000-00000000b004', '00000000-0000-4000-8000-00000000a001', 'another', '2025-01-05', NULL, 'WV-w', '2025-01-05', '2025-01-05');

-- Two of the first visit, one of the second. The third visit alone has the infrastructure.
INSERT INTO survey_responses (id, form_visit_id, survey_type, submission_id, created_at)
VALUES
    ('00000000-0000-4000-8000-00000000c001', '00000000-0000-4000-8000-00000000b001', 'kpis', 'SR-v-kpis', '2025-01-01'),
    ('00000000-0000-4000-8000-00000000c002', '00000000-0000-4000-8000-00000000b001', 'kpis', 'SR-v-kpis', '2025-01-04'),
    ('00000000-0000-4000-8000-00000000c003', '00000000-0000-4000-8000-00000000b002', 'kpis', 'SR-v-kpis', '2025-01-03'),
    ('00000000-0000-4000-8000-00000000c004', '00000000-0000-4000-8000-00000000b003', 'infrastructure', 'SR-v-infrastructure', NULL);

INSERT INTO survey_question_responses (id, survey_response_id, question_name, field_type, submission_id, value_number, value_text)
VALUES
    ('00000000-0000-4000-8000-00000000d001', '00000000-0000-4000-8000-00000000c001', 'volume', 'number', 'SQR-v-kpis-volume', 1, NULL),
    ('00000000-0000-4000-8000-00000000d002', '00000000-0000-4000-8000-00000000c002', 'volume', 'number', 'SQR-v-kpis-volume', 2, NULL),
    ('00000000-0000-4000-8000-00000000d003', '00000000-0000-4000-8000-00000000c003', 'volume', 'number', 'SQR-v-kpis-volume', 3, NULL),
    ('00000000-0000-4000-8000-00000000d004', '00000000-0000-4000-8000-00000000c003', 'price', 'number', 'SQR-v-kpis-price', 4, NULL),
    ('00000000-0000-4000-8000-00000000d005', '00000000-0000-4000-8000-00000000c004', 'which_of_the_following_needs_repair', 'text', 'SQR-v-infrastructure-which_of_the_following_needs_repair-1', NULL, 'Pulp hopper'),
    ('00000000-0000-4000-8000-00000000d006', '00000000-0000-4000-8000-00000000c004', 'which_of_the_following_needs_repair', 'text', 'SQR-v-infrastructure-which_of_the_following_needs_repair-1', NULL, 'Floatation tank');
