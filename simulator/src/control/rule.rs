//! Rules of the fault injection as JSON.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use vim25::schema::{self, TypeKind};
use vim25::types::LocalizedMethodFault;
use vim25::{Any, Fault};

use crate::script::{Reaction, Script};

/// A rule for future calls.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rule {
    /// The method; every method if it is not given.
    method: Option<String>,
    /// The number of the matching call to react to; 1 is the next one.
    nth: Option<usize>,
    /// Whether to react to every call.
    #[serde(default)]
    always: bool,
    reaction: WireReaction,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
enum WireReaction {
    Fault(WireFault),
    TaskFault(WireFault),
    /// Seconds.
    Delay(f64),
    /// Seconds.
    SlowTask(f64),
    Disconnect,
    LoseAnswer,
    Hold,
    LoseSession,
    HttpStatus(u16),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFault {
    #[serde(rename = "type")]
    ty: String,
    #[serde(default)]
    message: String,
    /// The fields of the fault, in the JSON format of vSphere.
    #[serde(default)]
    fields: serde_json::Map<String, Value>,
}

impl Rule {
    /// Adds the rule to a script.
    pub(super) fn add(self, script: &Script) -> Result<(), String> {
        let reaction = self.reaction.reaction()?;
        if self.nth == Some(0) {
            return Err("`nth` counts from 1".to_owned());
        }
        match (self.method, self.nth, self.always) {
            (_, Some(_), true) => return Err("use either `nth` or `always`".to_owned()),
            (None, _, true) => return Err("`always` needs a `method`".to_owned()),
            (Some(method), _, true) => script.always(&method, reaction),
            (Some(method), nth, false) => script.nth(&method, nth.unwrap_or(1), reaction),
            (None, nth, false) => script.nth_of_all(nth.unwrap_or(1), reaction),
        }
        Ok(())
    }
}

impl WireReaction {
    fn reaction(self) -> Result<Reaction, String> {
        let seconds = |seconds| {
            Duration::try_from_secs_f64(seconds).map_err(|error| format!("{seconds} s: {error}"))
        };
        Ok(match self {
            Self::Fault(fault) => Reaction::Fault(fault.fault()?),
            Self::TaskFault(fault) => Reaction::TaskFault(fault.fault()?),
            Self::Delay(time) => Reaction::Delay(seconds(time)?),
            Self::SlowTask(time) => Reaction::SlowTask(seconds(time)?),
            Self::Disconnect => Reaction::Disconnect,
            Self::LoseAnswer => Reaction::LoseAnswer,
            Self::Hold => Reaction::Hold,
            Self::LoseSession => Reaction::LoseSession,
            Self::HttpStatus(status @ 100..=999) => Reaction::HttpStatus(status),
            Self::HttpStatus(status) => return Err(format!("{status} is no HTTP status")),
        })
    }
}

impl WireFault {
    fn fault(mut self) -> Result<Fault, String> {
        let data = |name| schema::find(TypeKind::Data, name);
        let (own, base) = (data(&self.ty), data("MethodFault"));
        if !own.zip(base).is_some_and(|(own, base)| own.is_a(base)) {
            return Err(format!("the API has no fault `{}`", self.ty));
        }
        self.fields.insert("_typeName".to_owned(), json!(self.ty));
        let localized = json!({
            "_typeName": "LocalizedMethodFault",
            "fault": self.fields,
            "localizedMessage": self.message,
        });
        let refused = |error: &dyn std::fmt::Display| format!("the fault `{}`: {error}", self.ty);
        let value = Any::from_json(&localized.to_string()).map_err(|error| refused(&error))?;
        let fault: LocalizedMethodFault = value.get().map_err(|error| refused(&error))?;
        Ok(Fault::from(fault))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn add(text: &str) -> Result<Vec<Reaction>, String> {
        let script = Script::new();
        let rule: Rule = serde_json::from_str(text).map_err(|error| error.to_string())?;
        rule.add(&script)?;
        Ok(script.react("PowerOnVM_Task"))
    }

    #[test]
    fn rules_are_those_of_the_script() {
        let text = r#"{"method": "PowerOnVM_Task", "reaction": {"delay": 0.5}}"#;
        let reactions = add(text).unwrap();
        assert!(matches!(reactions[..], [Reaction::Delay(time)] if time.as_millis() == 500));
        let text = r#"{"nth": 2, "reaction": "disconnect"}"#;
        assert!(add(text).unwrap().is_empty());
        let text = r#"{"method": "PowerOnVM_Task", "always": true, "reaction": {"taskFault":
            {"type": "NoDiskSpace", "message": "full", "fields": {"datastore": "ds", "file": "f"}}}}"#;
        let reactions = add(text).unwrap();
        let [Reaction::TaskFault(fault)] = &reactions[..] else {
            panic!("{reactions:?}");
        };
        let detail: vim25::types::NoDiskSpace = fault.get().unwrap().unwrap();
        assert_eq!((fault.message(), &*detail.datastore), ("full", "ds"));
    }

    #[test]
    fn a_rule_that_cannot_be_meant_is_refused() {
        for (text, words) in [
            (r#"{"reaction": "explode"}"#, "explode"),
            (r#"{"reaction": "hold", "nth": 0}"#, "counts from 1"),
            (r#"{"reaction": "hold", "always": true}"#, "method"),
            (r#"{"reaction": "hold", "methods": "A"}"#, "methods"),
            (r#"{"reaction": {"delay": -1}}"#, "-1 s"),
            (r#"{"reaction": {"httpStatus": 7}}"#, "7 is no"),
            (r#"{"reaction": {"fault": {"type": "NoSuch"}}}"#, "NoSuch"),
            (
                r#"{"reaction": {"fault": {"type": "VirtualDisk"}}}"#,
                "VirtualDisk",
            ),
        ] {
            let error = add(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
