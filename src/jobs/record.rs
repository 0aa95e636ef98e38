//! A Salesforce record that forms write: its object, its external id and the tables of its fields. A step
//! of a job says whether a form writes it.

use serde_json::Value;

use crate::jobs::MapError;
use crate::jobs::country::{Country, Section};
use crate::jobs::fields::{Given, Piece, join};
use crate::jobs::form::Form;
use crate::plan::Upsert;

/// A record.
pub(super) struct Record {
    /// API name of the object.
    pub(super) object: &'static str,
    /// API name of the external-id field.
    pub(super) key: &'static str,
    /// The external id.
    pub(super) id: &'static [Piece],
    /// When a form writes it, in words; empty where every form does.
    pub(super) when: &'static str,
    /// The fields that it always has.
    pub(super) tables: &'static [&'static Table],
    /// Fields that some forms write, too. The step adds them.
    pub(super) optional: &'static [&'static Table],
}

/// Rows of fields, and the name under which they are found in the source.
pub(super) struct Table {
    /// The constant and its file: who extends the mapping looks there.
    pub(super) name: &'static str,
    /// When a form writes these fields, in words; empty where every form that writes the record does.
    pub(super) when: &'static str,
    /// The rows, with the countries to which they apply.
    pub(super) sections: &'static [Section],
}

/// The table of a constant with rows, or with sections of rows by country.
macro_rules! table {
    ($rows:ident) => {
        $crate::jobs::record::table!($rows, "")
    };
    ($rows:ident, $when:literal) => {
        $crate::jobs::record::Table {
            name: concat!(stringify!($rows), " in ", file!()),
            when: $when,
            sections: &[($crate::jobs::country::ALL, $rows)],
        }
    };
    (by country $sections:ident) => {
        $crate::jobs::record::Table {
            name: concat!(stringify!($sections), " in ", file!()),
            when: "",
            sections: $sections,
        }
    };
}
pub(super) use table;

impl Record {
    /// The record of a form. Where the countries differ, it is that of any other country.
    pub(super) fn read(&self, form: &Form) -> Result<Upsert, MapError> {
        self.read_given(form, &[])
    }

    /// The same, with what the step knows of the record.
    pub(super) fn read_given(&self, form: &Form, given: Given) -> Result<Upsert, MapError> {
        self.fill(self.start(form, given)?, Country::Other, form, given)
    }

    /// The record of a form of this country.
    pub(super) fn read_for(&self, country: Country, form: &Form) -> Result<Upsert, MapError> {
        self.fill(self.start(form, &[])?, country, form, &[])
    }

    fn start(&self, form: &Form, given: Given) -> Result<Upsert, MapError> {
        Ok(Upsert::new(self.object, self.key, join(self.id, form, given)?))
    }

    fn fill(&self, upsert: Upsert, country: Country, form: &Form, given: Given) -> Result<Upsert, MapError> {
        self.tables.iter().try_fold(upsert, |upsert, table| table.fill_for(country, upsert, form, given))
    }
}

impl Table {
    /// Adds the fields, with the values that `form` gives.
    pub(super) fn fill(&self, upsert: Upsert, form: &Form) -> Result<Upsert, MapError> {
        self.fill_for(Country::Other, upsert, form, &[])
    }

    fn fill_for(
        &self,
        country: Country,
        mut upsert: Upsert,
        form: &Form,
        given: Given,
    ) -> Result<Upsert, MapError> {
        let sections = self.sections.iter().filter(|(countries, _)| countries.contains(&country));
        for (name, source) in sections.flat_map(|(_, rows)| rows.iter()) {
            upsert = upsert.put(name, source.read(form, given)?);
        }
        Ok(upsert)
    }
}

/// A text that a step knows of its record.
pub(super) fn given(name: &'static str, value: impl Into<Value>) -> (&'static str, Value) {
    (name, value.into())
}
