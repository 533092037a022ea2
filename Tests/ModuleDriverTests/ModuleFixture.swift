import DriverKit
import Foundation
import Glibc
import Model

@testable import ModuleDriver

/// A folder with a module, a library and a compiler that only copies; removed with it.
final class ModuleFixture: Sendable {
    let path: String
    let programs: ModulePrograms

    init() throws {
        var template = Array("/tmp/isle-module-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw EngineError(.internal, "mkdtemp: errno \(errno)") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        programs = ModulePrograms(runner: path + "/runner", shim: path + "/shim", library: path + "/library")
        try write("library", Array("library".utf8))
        try write("core.wasm", [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])
        try write("component.wasm", [0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0])
        // Notes each call, then does what the compiler does: --module IN … --output OUT.
        let script = """
            #!/bin/sh
            echo "$*" >> \(path)/calls
            while [ $# -gt 0 ]; do
              case "$1" in
                --module) module="$2" ;;
                --output) output="$2" ;;
              esac
              shift
            done
            [ ! -e \(path)/broken ] || { echo "it is no module" >&2; exit 2; }
            umask 077
            cat "$module" > "$output"
            """
        // Copied by another process: a child that another test starts meanwhile would have this one's descriptor for a
        // moment, and a file that is open for writing cannot be executed (execve(2), ETXTBSY).
        try write("text", Array(script.utf8))
        guard system("cp \(path)/text \(programs.runner) && chmod 755 \(programs.runner)") == 0,
            mkdir(path + "/cache", 0o700) == 0
        else {
            throw EngineError(.internal, "the fixture cannot be made: errno \(errno)")
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var cache: ArtifactCache { ArtifactCache(directory: path + "/cache", programs: programs) }

    /// How often the compiler ran.
    var compilations: Int {
        (try? String(contentsOfFile: path + "/calls", encoding: .utf8))?.split(separator: "\n").count ?? 0
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    }

    func plan(
        config: [String: String] = [:], mounts: [MountSpec] = [], network: NetworkMode = .none,
        limits: Limits = Limits(), arguments: [String] = []
    ) -> LaunchPlan {
        LaunchPlan(
            id: .random(), name: "mod", kind: .module, hostname: "host",
            root: .module(path: path + "/core.wasm", digest: "sha256:0"),
            process: ProcessSpec(arguments: arguments, environment: ["A=1"]), identity: IDRange(base: 1_000_000),
            mounts: mounts, network: network, limits: limits, security: SecurityOptions(), stdio: StdioOptions(),
            log: LogOptions(path: path + "/log"), runDirectory: path, stateDirectory: path, config: config)
    }
}
