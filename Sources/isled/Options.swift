import ArgumentParser
import Glibc
import Logging

/// What isled is told on its command line.
struct Options: ParsableArguments {
    @Option(help: ArgumentHelp("Folder for images, instances and the database.", valueName: "folder"))
    var stateDir = "/var/lib/isle"

    @Option(help: ArgumentHelp("Folder for sockets and what ends with a reboot.", valueName: "folder"))
    var runDir = "/run/isle"

    @Option(help: ArgumentHelp("Name of the managed bridge and its network.", valueName: "name"))
    var bridge = "isle0"

    @Option(
        help: ArgumentHelp(
            "Gateway and prefix length of the bridge, as 10.88.0.1/24; chosen at the first start if not given.",
            valueName: "address"))
    var subnet: String?

    @Option(help: ArgumentHelp("Group that may use the sockets.", valueName: "name"))
    var group = "isle"

    @Option(
        help: ArgumentHelp(
            "Socket for Docker clients, or `none`; docker.sock in the run folder if not given.", valueName: "path"))
    var dockerSocket: String?

    @Option(
        help: ArgumentHelp(
            "Folder of isle-shim, isle-init, isle-wasm and libwasmtime.so; else beside isled or ../lib/isle.",
            valueName: "folder"))
    var libDir: String?

    @Flag(help: "Fetch images also from servers at this host's own addresses, when a client names them.")
    var localImageServers = false

    @Option(help: ArgumentHelp("trace, debug, info, notice, warning or error.", valueName: "level"))
    var logLevel = "info"

    mutating func validate() throws {
        stateDir = try Self.absolute(stateDir, "--state-dir")
        runDir = try Self.absolute(runDir, "--run-dir")
        if let path = dockerSocket, path != "none" { dockerSocket = try Self.absolute(path, "--docker-socket") }
        guard (1...13).contains(bridge.utf8.count), !bridge.contains("/"), !bridge.contains(where: \.isWhitespace)
        else {
            throw ValidationError("--bridge '\(bridge)': an interface name of 1 to 13 characters")
        }
        guard Logger.Level(rawValue: logLevel) != nil else {
            throw ValidationError("--log-level '\(logLevel)': one of trace, debug, info, notice, warning, error")
        }
    }

    /// Where Docker clients are served; nil: nowhere.
    var dockerPath: String? { dockerSocket == "none" ? nil : dockerSocket ?? runDir + "/docker.sock" }

    /// The path with a leading slash and none at its end.
    private static func absolute(_ path: String, _ option: String) throws -> String {
        guard path.hasPrefix("/") else { throw ValidationError("\(option) '\(path)': an absolute path") }
        let parts = path.split(separator: "/")
        guard !parts.isEmpty, !parts.contains("..") else {
            throw ValidationError("\(option) '\(path)': a folder of its own")
        }
        return "/" + parts.joined(separator: "/")
    }
}
