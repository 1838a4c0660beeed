//! The `--change` option of `docker import`: instructions of a Dockerfile.

use serde_json::{Map, Value, json};

use crate::error::{ApiError, Result};

/// Applies the instructions to an empty `config` object of an image, and returns it.
pub(crate) fn apply<'a>(changes: impl IntoIterator<Item = &'a str>) -> Result<Map<String, Value>> {
    let mut config = Map::new();
    for change in changes {
        let change = change.trim();
        let (word, rest) = change
            .split_once(char::is_whitespace)
            .unwrap_or((change, ""));
        let rest = rest.trim();
        match word.to_ascii_uppercase().as_str() {
            "" => {}
            "CMD" => drop(config.insert("Cmd".into(), command(rest))),
            "ENTRYPOINT" => drop(config.insert("Entrypoint".into(), command(rest))),
            "WORKDIR" => drop(config.insert("WorkingDir".into(), rest.into())),
            "USER" => drop(config.insert("User".into(), rest.into())),
            "STOPSIGNAL" => drop(config.insert("StopSignal".into(), rest.into())),
            "ENV" => {
                let (name, value) = pair(rest)?;
                let list = config.entry("Env").or_insert_with(|| json!([]));
                if let Value::Array(list) = list {
                    list.push(format!("{name}={value}").into());
                }
            }
            "LABEL" => {
                let (name, value) = pair(rest)?;
                config.entry("Labels").or_insert_with(|| json!({}))[name] = value.into();
            }
            "EXPOSE" => {
                for port in rest.split_whitespace() {
                    let port = if port.contains('/') {
                        port.to_owned()
                    } else {
                        format!("{port}/tcp")
                    };
                    config.entry("ExposedPorts").or_insert_with(|| json!({}))[port] = json!({});
                }
            }
            other => {
                return Err(ApiError::bad_request(format!(
                    "{other} is not a valid change command"
                )));
            }
        }
    }
    Ok(config)
}

/// Parses a command: a JSON array of words, or else a line for the shell.
fn command(text: &str) -> Value {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) => json!(words),
        Err(_) => json!(["/bin/sh", "-c", text]),
    }
}

fn pair(text: &str) -> Result<(&str, &str)> {
    let pair = text.split_once('=').or_else(|| text.split_once(' '));
    let (name, value) =
        pair.ok_or_else(|| ApiError::bad_request(format!("{text:?} is not a name and a value")))?;
    Ok((name.trim(), value.trim().trim_matches('"')))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn instructions_become_a_config() {
        let config = apply([
            r#"CMD ["/hello", "a b"]"#,
            "ENV A=b c",
            "EXPOSE 80 53/udp",
            "LABEL x=\"y\"",
            "workdir /w",
        ]);
        assert_eq!(
            Value::Object(config.unwrap()),
            json!({
                "Cmd": ["/hello", "a b"], "Env": ["A=b c"], "Labels": { "x": "y" },
                "ExposedPorts": { "80/tcp": {}, "53/udp": {} }, "WorkingDir": "/w",
            })
        );
        assert!(apply(["RUN x"]).is_err());
    }
}
