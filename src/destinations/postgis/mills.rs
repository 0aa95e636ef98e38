//! A registration: one row of `wetmills` (`docs/mappings/commcare-to-postgis.md`, section 2).

use geo_types::Point;
use sqlx::PgTransaction;

use super::failure::StoreError;
use super::unnamed;
use crate::plan::rows::Mill;

/// Updates the mill with this case id, or inserts it. The mill's user is the one whose `sf_user_id` is
/// `staff`. Where there is no such user, the stored user stays (decision P16).
pub(super) async fn store(
    transaction: &mut PgTransaction<'_>,
    mill: &Mill,
    staff: Option<&str>,
) -> Result<(), StoreError> {
    let stored = sqlx::query!(
        r#"
        INSERT INTO wetmills (
            wet_mill_unique_id, commcare_case_id, name, mill_status, exporting_status,
            vertical_integration, manager_name, manager_role, programme, country, comments,
            ba_signature, manager_signature, tor_page_picture, office_entrance_picture,
            registration_date, date_ba_signature, office_gps, user_id
        )
        VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
            ST_SetSRID(ST_MakePoint($18, $19), 4326),
            (SELECT user_id FROM tbl_users WHERE sf_user_id = $20 LIMIT 1)
        )
        ON CONFLICT (commcare_case_id) DO UPDATE SET
            wet_mill_unique_id = EXCLUDED.wet_mill_unique_id,
            name = EXCLUDED.name,
            mill_status = EXCLUDED.mill_status,
            exporting_status = EXCLUDED.exporting_status,
            vertical_integration = EXCLUDED.vertical_integration,
            manager_name = EXCLUDED.manager_name,
            manager_role = EXCLUDED.manager_role,
            programme = EXCLUDED.programme,
            country = EXCLUDED.country,
            comments = EXCLUDED.comments,
            ba_signature = EXCLUDED.ba_signature,
            manager_signature = EXCLUDED.manager_signature,
            tor_page_picture = EXCLUDED.tor_page_picture,
            office_entrance_picture = EXCLUDED.office_entrance_picture,
            registration_date = EXCLUDED.registration_date,
            date_ba_signature = EXCLUDED.date_ba_signature,
            office_gps = EXCLUDED.office_gps,
            user_id = COALESCE(EXCLUDED.user_id, wetmills.user_id),
            updated_at = now()
        "#,
        mill.wet_mill_unique_id,
        mill.commcare_case_id,
        mill.name.as_deref(),
        mill.mill_status,
        mill.exporting_status,
        mill.vertical_integration,
        mill.manager_name.as_deref(),
        mill.manager_role.as_deref(),
        mill.programme.as_deref(),
        mill.country.as_deref(),
        mill.comments.as_deref(),
        mill.ba_signature.as_deref(),
        mill.manager_signature.as_deref(),
        mill.tor_page_picture.as_deref(),
        mill.office_entrance_picture.as_deref(),
        mill.registration_date,
        mill.date_ba_signature,
        mill.office_gps.map(Point::x),
        mill.office_gps.map(Point::y),
        staff,
    );
    unnamed::execute(transaction, "wetmills", stored).await
}
