//! The options of the command that set the fields of a host's specification. The port layer names
//! fields in its messages, in backquotes, and this command names options.

use crate::log::Style;

/// One text of the port layer's messages, and what `create` and `install` print for it.
struct Named {
    field: &'static str,
    create: &'static str,
    install: &'static str,
}

const fn named(field: &'static str, create: &'static str, install: &'static str) -> Named {
    Named {
        field,
        create,
        install,
    }
}

/// Sub-commands without an option for a field cannot set it to a wrong value.
const NAMES: [Named; 27] = [
    named(
        "with `datacenter`",
        "in the path of --target",
        "in the path of --target",
    ),
    named(
        "`datacenter`",
        "the datacenter in the path of --target",
        "the datacenter in the path of --target",
    ),
    named("`compute`", "--compute-resource", "-r"),
    named("`datastore`", "--image-store", "-i"),
    named("`bridge_network`", "--bridge-network", "-b"),
    named("`public_network`", "--public-network", "-e"),
    named("`client_network`", "--client-network", "-e"),
    named("`management_network`", "--management-network", "-m"),
    named("`public_address`", "--public-network-ip", ""),
    named("`client_address`", "--client-network-ip", ""),
    named("`management_address`", "--management-network-ip", ""),
    named("`name_servers`", "--dns-server", ""),
    named("`address`", "--line-address", ""),
    named("`scope_networks`", "--scope-network", ""),
    named("`scope_vlans`", "--scope-vlans or --scope-network", ""),
    named("`pool.cpu`", "--cpu, --cpu-reservation or --cpu-shares", ""),
    named(
        "`pool.memory`",
        "--memory, --memory-reservation or --memory-shares",
        "",
    ),
    named("`cpus`", "--appliance-cpu", ""),
    named("`memory_mib`", "--appliance-memory", ""),
    named("`user`", "--ops-user", ""),
    named("`registries.allowed`", "--whitelist-registry", ""),
    named("`registries.insecure`", "--insecure-registry", ""),
    named("`registries.authorities`", "--registry-ca", ""),
    named("`volume_stores`", "--volume-store", ""),
    named("`appliance_iso`", "--appliance-iso", "-a"),
    named("`bootstrap_iso`", "--bootstrap-iso", "-c"),
    named(
        "the rule set `vSPC`",
        "`vch update firewall --allow`",
        "`vch update firewall --allow`",
    ),
];

/// Returns a message of the port layer with options in place of fields.
pub(crate) fn in_options(message: &str, style: Style) -> String {
    let mut text = message.to_owned();
    for names in &NAMES {
        let option = match style {
            Style::Machine => names.create,
            Style::Script => names.install,
        };
        if !option.is_empty() {
            text = text.replace(names.field, option);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::options::Options;

    /// Returns the options of a sub-command with their dashes.
    fn options(sub_command: &str) -> Vec<String> {
        let command = Options::command();
        let arguments = command.find_subcommand(sub_command).into_iter();
        let arguments = arguments.chain([&command]).flat_map(|c| c.get_arguments());
        arguments
            .flat_map(|argument| {
                let long = argument.get_long().map(|long| format!("--{long}"));
                long.into_iter()
                    .chain(argument.get_short().map(|short| format!("-{short}")))
            })
            .collect()
    }

    #[test]
    fn the_options_exist() {
        for (sub_command, style) in [("create", Style::Machine), ("install", Style::Script)] {
            let known = options(sub_command);
            for names in NAMES.iter().filter(|names| !names.field.contains("vSPC")) {
                let text = in_options(names.field, style);
                let words = text.split([' ', ',']).filter(|word| word.starts_with('-'));
                let mut count = 0;
                for option in words {
                    assert!(known.iter().any(|k| k == option), "{sub_command} {text}");
                    count += 1;
                }
                let is_none = text == names.field && style == Style::Script;
                assert!(count > 0 || is_none, "{sub_command} {}", names.field);
            }
        }
    }

    #[test]
    fn each_sub_command_names_its_own_options() {
        let message = "choose another with `datastore`, `public_network` or `datacenter`";
        for (style, expected) in [
            (
                Style::Machine,
                "choose another with --image-store, --public-network or the datacenter in the path \
                 of --target",
            ),
            (
                Style::Script,
                "choose another with -i, -e or the datacenter in the path of --target",
            ),
        ] {
            assert_eq!(in_options(message, style), expected);
        }
    }
}
