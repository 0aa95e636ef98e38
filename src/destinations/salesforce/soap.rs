//! The SOAP partner API's `login()`: the envelope that is sent and the one that comes back.
//!
//! Salesforce offers it up to API version 64.0 and is retiring it; orgs that still use a user's
//! password have no other door.

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;

use crate::destinations::xml;

/// The last version with `login()` (`docs/service.md`, section 5), whatever version REST calls use.
pub(super) const PATH: &str = "/services/Soap/u/64.0";

/// The `login()` call for a user name and a password with the security token appended.
pub(super) fn envelope(username: &str, password: &str) -> String {
    let (username, password) = (escape(username), escape(password));
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?><env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Body><n1:login xmlns:n1="urn:partner.soap.sforce.com"><n1:username>{username}</n1:username><n1:password>{password}</n1:password></n1:login></env:Body></env:Envelope>"#
    )
}

/// What `login()` answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LoginAnswer {
    /// A session, and the server to use it on.
    Session { id: String, server_url: String },
    /// The password is right but too old to be used.
    PasswordExpired,
    /// A refusal: the code without its namespace, e.g. `INVALID_LOGIN`, and its explanation.
    Fault { code: String, message: String },
}

/// Reads an answer; `None` where it is neither a login result nor a fault.
pub(super) fn parse(xml: &str) -> Option<LoginAnswer> {
    let mut answer = Elements::default();
    let mut reader = Reader::from_str(xml);
    let mut element = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                element = String::from_utf8_lossy(start.local_name().as_ref().as_bytes()).into_owned();
            }
            Event::End(_) => element.clear(),
            Event::Text(text) => answer.push(&element, &text),
            Event::CData(text) => answer.push(&element, &text),
            Event::GeneralRef(reference) => {
                answer.push(&element, &xml::resolve(&reference)?);
            }
            Event::Eof => return answer.into_answer(),
            _ => {}
        }
    }
}

/// The texts of the elements that matter.
#[derive(Default)]
struct Elements {
    session_id: String,
    server_url: String,
    password_expired: String,
    fault_code: String,
    fault_string: String,
}

impl Elements {
    fn push(&mut self, element: &str, text: &str) {
        let place = match element {
            "sessionId" => &mut self.session_id,
            "serverUrl" => &mut self.server_url,
            "passwordExpired" => &mut self.password_expired,
            "faultcode" => &mut self.fault_code,
            "faultstring" => &mut self.fault_string,
            _ => return,
        };
        place.push_str(text.trim());
    }

    fn into_answer(self) -> Option<LoginAnswer> {
        if !self.fault_code.is_empty() {
            let code = self.fault_code.rsplit(':').next().unwrap_or_default().to_owned();
            return Some(LoginAnswer::Fault { code, message: self.fault_string });
        }
        if self.password_expired == "true" {
            return Some(LoginAnswer::PasswordExpired);
        }
        let found = !self.session_id.is_empty() && !self.server_url.is_empty();
        found.then_some(LoginAnswer::Session { id: self.session_id, server_url: self.server_url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_escaped() {
        let xml = envelope("a&b@example.org", "p<w>\"'&]]>");
        assert!(xml.contains("<n1:username>a&amp;b@example.org</n1:username>"), "{xml}");
        assert!(xml.contains("<n1:password>p&lt;w&gt;&quot;&apos;&amp;]]&gt;</n1:password>"), "{xml}");
    }

    #[test]
    fn a_session_is_read_with_its_server() {
        let xml = r#"<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
            xmlns="urn:partner.soap.sforce.com"><soapenv:Body><loginResponse><result>
            <metadataServerUrl>https://x/m</metadataServerUrl><passwordExpired>false</passwordExpired>
            <serverUrl>https://x.my.salesforce.com/services/Soap/u/64.0/00D?a=1&amp;b=2</serverUrl>
            <sessionId>00D!AQ.&#65;</sessionId><userInfo><sessionSecondsValid>7200</sessionSecondsValid></userInfo>
            </result></loginResponse></soapenv:Body></soapenv:Envelope>"#;
        let server_url = "https://x.my.salesforce.com/services/Soap/u/64.0/00D?a=1&b=2".to_owned();
        assert_eq!(parse(xml), Some(LoginAnswer::Session { id: "00D!AQ.A".into(), server_url }));
        let expired = xml.replace("<passwordExpired>false", "<passwordExpired>true");
        assert_eq!(parse(&expired), Some(LoginAnswer::PasswordExpired));
    }

    #[test]
    fn a_fault_is_read_without_its_namespace() {
        let xml = "<e:Envelope><e:Body><e:Fault><faultcode>sf:INVALID_LOGIN</faultcode><faultstring>INVALID_LOGIN: \
                   Invalid username</faultstring><detail/></e:Fault></e:Body></e:Envelope>";
        let message = "INVALID_LOGIN: Invalid username".into();
        assert_eq!(parse(xml), Some(LoginAnswer::Fault { code: "INVALID_LOGIN".into(), message }));
    }

    #[test]
    fn anything_else_is_no_answer() {
        for text in ["", "<html>maintenance</html>", "{}", "<a><sessionId>x</sessionId></a>", "<a></b>"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
