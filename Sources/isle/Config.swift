import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle config`.
struct Config: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Configuration of instances, settings of the daemon, trusted clients.",
        discussion: """
            Examples:
              isle config set web limits.memory=1GiB limits.cpu=2
              isle config get web limits.memory
              isle config device add web data disk source=/srv/data path=/data
              isle config edit web
            """,
        subcommands: [
            ConfigGet.self, ConfigSet.self, ConfigUnset.self, ConfigShow.self, ConfigEdit.self, ConfigDevice.self,
            ConfigServer.self, ConfigTrust.self,
        ])
}

/// Where configuration is: of an instance or of a profile.
struct ConfigTarget {
    var endpoint: Endpoint
    var what: String
    /// Fields that `edit` shows; the others are the daemon's.
    var editable: Set<String>

    static func instance(_ name: String) -> ConfigTarget {
        ConfigTarget(
            endpoint: Endpoint(["instances", name]), what: "instance \(Quantity.quoted(name))",
            editable: ["config", "devices", "description", "profiles", "ephemeral"])
    }

    static func profile(_ name: String) -> ConfigTarget {
        ConfigTarget(
            endpoint: Endpoint(["profiles", name]), what: "profile \(Quantity.quoted(name))",
            editable: ["config", "devices", "description"])
    }

    /// The part that can be changed, without what Isle itself keeps.
    func load(_ client: IsleClient) throws -> [String: JSONValue] {
        var object = try client.get(JSONValue.self, endpoint).objectValue ?? [:]
        object = object.filter { editable.contains($0.key) }
        if let config = object["config"]?.objectValue {
            object["config"] = .object(config.filter { !$0.key.hasPrefix("volatile.") })
        }
        return object
    }

    func get(_ key: String, _ global: GlobalOptions) throws {
        let object = try global.client.get(JSONValue.self, endpoint)
        let value = object["config"]?[key] ?? object["expanded_config"]?[key]
        guard let text = value?.stringValue else {
            if global.format == .json { Output(options: global).lines(["null"]) }
            return
        }
        if global.format == .json { return try Output(options: global).value(.string(text)) }
        Output(options: global).lines([text])
    }

    /// Changes keys; an empty value takes a key away.
    func set(_ settings: [String: String], _ global: GlobalOptions) throws {
        let body = JSONValue.object(["config": .object(settings.mapValues { .string($0) })])
        try finish(global, "PATCH", body)
    }

    func replace(_ object: [String: JSONValue], _ global: GlobalOptions) throws {
        try finish(global, "PUT", .object(object))
    }

    private func finish(_ global: GlobalOptions, _ method: String, _ body: JSONValue) throws {
        let client = global.client
        try global.finish(client.start(method, endpoint, body), with: client)
    }

    /// Opens what can be changed in the editor, until it is accepted or given up.
    func edit(_ global: GlobalOptions) throws {
        let client = global.client
        let before = try load(client)
        if !Terminal.isTerminal(0) {
            return try replace(Self.object(LocalFile.text("-", "standard input")), global)
        }
        let heading = "# \(what). Lines that begin with # are left out.\n"
        var text = heading + YAML.write(.object(before))
        while true {
            let edited = try Editor.edit(text, suffix: ".yaml")
            if edited == text { return }
            do {
                let object = try Self.object(edited)
                return object == before ? () : try replace(object, global)
            } catch let error as UsageError {
                Failure.complain(error.description)
            } catch let error as ClientError where error.kind != .daemonUnavailable {
                Failure.complain(error.description)
            }
            guard Editor.asksAgain() else { throw ExitCode(1) }
            text = edited
        }
    }

    private static func object(_ text: String) throws -> [String: JSONValue] {
        guard var object = try YAML.read(text).objectValue else {
            throw UsageError("the YAML is not a map", hint: "begin with config: and devices:")
        }
        // Values of configuration are text, whatever YAML takes them for.
        for key in ["config", "devices"] { object[key] = object[key].map(textual) }
        return object
    }

    static func textual(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let object): .object(object.mapValues(textual))
        case .int(let number): .string(String(number))
        case .double(let number): .string(String(number))
        case .bool(let flag): .string(flag ? "true" : "false")
        case .null: .object([:])
        case .string, .array: value
        }
    }
}

/// Settings as `key=value …`, or one as `key value`; `key=-` takes the value from standard input.
enum Settings {
    static func parse(_ words: [String]) throws -> [String: String] {
        if words.count == 2, let key = words.first, !key.contains("=") {
            return [key: words[1] == "-" ? try LocalFile.text("-", "standard input") : words[1]]
        }
        var settings: [String: String] = [:]
        for word in words {
            let (key, value) = try KeyValue.pair(word, option: "setting")
            settings[key] = value
        }
        guard !settings.isEmpty else { throw UsageError("nothing to set", hint: "write KEY=VALUE") }
        return settings
    }
}

struct ConfigGet: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Print the value of a key.")
    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Argument(help: "The key.") var key: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws { try ConfigTarget.instance(name).get(key, global) }
}

struct ConfigSet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Set keys.", discussion: "Example: isle config set web limits.memory=1GiB")
    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Argument(help: ArgumentHelp("Keys and values.", valueName: "key=value")) var settings: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws { try ConfigTarget.instance(name).set(Settings.parse(settings), global) }
}

struct ConfigUnset: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "unset", abstract: "Take keys away.")
    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Argument(help: "The keys.") var keys: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try ConfigTarget.instance(name).set(Dictionary(keys.map { ($0, "") }, uniquingKeysWith: { $1 }), global)
    }
}

struct ConfigShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show the configuration.",
        discussion: "Example: isle config show web --expanded")
    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Flag(name: .shortAndLong, help: "With what comes from profiles.") var expanded = false
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        let client = global.client
        let target = ConfigTarget.instance(name)
        guard expanded else { return try Output(options: global).value(.object(target.load(client))) }
        let all = try client.get(JSONValue.self, target.endpoint)
        try Output(options: global).value(
            .object(["config": all["expanded_config"] ?? [:], "devices": all["expanded_devices"] ?? [:]]))
    }
}

struct ConfigEdit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit", abstract: "Change the configuration in an editor, or from standard input.",
        discussion: "The editor is $VISUAL, $EDITOR, else vi.")
    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws { try ConfigTarget.instance(name).edit(global) }
}
