import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle config device`.
struct ConfigDevice: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device", abstract: "Show and change devices.",
        subcommands: [DeviceList.self, DeviceAdd.self, DeviceSet.self, DeviceRemove.self])
}

extension ConfigTarget {
    func devices(_ object: [String: JSONValue]) -> [String: JSONValue] { object["devices"]?.objectValue ?? [:] }

    /// Changes the devices as a whole.
    func changeDevices(_ global: GlobalOptions, _ body: (inout [String: JSONValue]) throws -> Void) throws {
        var object = try load(global.client)
        var devices = devices(object)
        try body(&devices)
        object["devices"] = .object(devices)
        try replace(object, global)
    }
}

struct DeviceList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List devices, those of profiles too.", aliases: ["ls", "show"])
    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let instance = try global.client.get(API.Instance.self, Endpoint(["instances", name]))
        let devices = instance.expandedDevices.sorted { $0.key < $1.key }
        let answer = JSONValue.object(
            instance.expandedDevices.mapValues { .object($0.mapValues { .string($0) }) })
        try Output(options: global).list(answer, names: devices.map(\.key)) {
            var table = Table([.init("NAME"), .init("TYPE"), .init("FROM"), .init("SETTINGS", minimum: 20)])
            for (key, settings) in devices {
                let rest = settings.filter { $0.key != "type" }.sorted { $0.key < $1.key }
                table.add(
                    .init(key), .init(settings["type"] ?? ""),
                    .init(instance.devices[key] == nil ? "profile" : "instance"),
                    .init(rest.map { "\($0.key)=\($0.value)" }.joined(separator: " ")))
            }
            return table
        }
    }
}

struct DeviceAdd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add a device.",
        discussion: """
            Examples:
              isle config device add web data disk source=/srv/data path=/data
              isle config device add web http proxy listen=tcp:0.0.0.0:80 connect=tcp:127.0.0.1:80
            """)
    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Argument(help: "The device's name.") var device: String
    @Argument(help: "Its type: disk, nic, proxy, none.") var type: String
    @Argument(help: ArgumentHelp("Its settings.", valueName: "key=value")) var settings: [String] = []
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var keys = settings.isEmpty ? [:] : try Settings.parse(settings)
        keys["type"] = type
        let value = JSONValue.object(keys.mapValues { .string($0) })
        try ConfigTarget.instance(name).changeDevices(global) { devices in
            guard devices[device] == nil else {
                throw UsageError(
                    "\(Quantity.quoted(name)) has a device \(Quantity.quoted(device)) already",
                    hint: "change it with 'isle config device set'")
            }
            devices[device] = value
        }
        Output(options: global).done(device)
    }
}

struct DeviceSet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Change settings of a device; an empty value takes one away.")
    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Argument(help: "The device.") var device: String
    @Argument(help: ArgumentHelp("Its settings.", valueName: "key=value")) var settings: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let changes = try Settings.parse(settings)
        try ConfigTarget.instance(name).changeDevices(global) { devices in
            guard var keys = devices[device]?.objectValue else { throw DeviceRemove.missing(name, device) }
            for (key, value) in changes { keys[key] = value.isEmpty ? nil : .string(value) }
            devices[device] = .object(keys)
        }
    }
}

struct DeviceRemove: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove devices.", aliases: ["rm", "delete"])
    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Argument(help: "The devices.") var devices: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        try ConfigTarget.instance(name).changeDevices(global) { present in
            for device in devices {
                guard present.removeValue(forKey: device) != nil else { throw Self.missing(name, device) }
            }
        }
    }

    static func missing(_ name: String, _ device: String) -> UsageError {
        UsageError(
            "\(Quantity.quoted(name)) has no device \(Quantity.quoted(device)) of its own",
            hint: "isle config device list \(name)")
    }
}
