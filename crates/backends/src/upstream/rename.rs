//! The model's name in a JSON object. All other members stay byte for byte as they were.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The member that names the model.
const MODEL: &str = "model";

/// A request that is not passed on.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is no JSON object, or names two models.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It has a member with which clients could reach beyond the model.
    #[error("`{0}` names a file or model for the backend to load, which requests may not do")]
    Member(&'static str),
}

/// The request `json`, an object without the members `refused`, for the model `name`.
pub(super) fn request_with_model(
    json: &str,
    name: &str,
    refused: &[&'static str],
) -> Result<String, RequestError> {
    let members: Members<'_> = serde_json::from_str(json)?;
    let has = |name: &str| members.0.iter().any(|(member, _)| member == name);
    if let Some(member) = refused.iter().copied().find(|member| has(member)) {
        return Err(RequestError::Member(member));
    }
    let num_names = members.0.iter().filter(|(member, _)| member == MODEL).count();
    match (num_names, members.write(name)) {
        (0, object) if members.0.is_empty() => Ok(object.replacen('{', &named(name), 1)),
        (0, object) => Ok(object.replacen('{', &(named(name) + ","), 1)),
        (1, object) => Ok(object),
        _ => Err(RequestError::Json(de::Error::duplicate_field(MODEL))),
    }
}

/// The answer `json` as one of the model `name`; as it is if it is no object or names no model.
pub fn answer_with_model(json: &str, name: &str) -> String {
    match serde_json::from_str::<Members<'_>>(json) {
        Ok(members) => members.write(name),
        Err(_) => json.to_owned(),
    }
}

/// Whether `json` is an object with a member of this name.
pub(super) fn has_member(json: &str, name: &str) -> bool {
    let members = serde_json::from_str::<Members<'_>>(json);
    members.is_ok_and(|members| members.0.iter().any(|(member, _)| member == name))
}

/// The members of an object in order, each value as it was written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Members<'_> {
    /// The object, in which the model has this name if it had one.
    fn write(&self, name: &str) -> String {
        let member = |(member, value): &(String, &RawValue)| match member.as_str() {
            MODEL => quoted(MODEL) + ":" + &quoted(name),
            _ => format!("{}:{value}", quoted(member)),
        };
        let members: Vec<String> = self.0.iter().map(member).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// The beginning of an object whose first member names the model.
fn named(name: &str) -> String {
    format!("{{{}:{}", quoted(MODEL), quoted(name))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text can be written")
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_changes() {
        let request = r#" {"a": 1.0e2, "model" : "x", "é\n": {"model": "y"}, "b":[ 1 ] }"#;
        let expected = r#"{"a":1.0e2,"model":"org/m","é\n":{"model": "y"},"b":[ 1 ]}"#;
        assert_eq!(request_with_model(request, "org/m", &["c"]).unwrap(), expected);
        let refused = request_with_model(request, "org/m", &["c", "b"]).unwrap_err();
        assert!(refused.to_string().starts_with("`b` names a file"), "{refused}");
        assert_eq!(answer_with_model(request, "org/m"), expected);
        // Numbers beyond any type, and white space within values, stay as they are.
        let odd = r#"{"model":"q\"","seed":123456789012345678901234567890}"#;
        assert_eq!(answer_with_model(odd, "q\""), odd);
    }

    #[test]
    fn a_request_always_gets_a_name_and_an_answer_only_where_it_had_one() {
        let request = |json| request_with_model(json, "m", &[]);
        assert_eq!(request("{}").unwrap(), r#"{"model":"m"}"#);
        assert_eq!(request("{\"{\":1}").unwrap(), r#"{"model":"m","{":1}"#);
        assert_eq!(answer_with_model(r#"{"usage":null}"#, "m"), r#"{"usage":null}"#);
        for text in ["[1]", "7", "nonsense", "", r#"{"model":"#] {
            assert!(request(text).is_err(), "{text}");
            assert_eq!(answer_with_model(text, "m"), text);
        }
        let two = request(r#"{"model":1,"model":2}"#).unwrap_err();
        assert!(two.to_string().contains("duplicate field `model`"), "{two}");
    }
}
