import ContentStore
import DriverKit
import Foundation
import LinuxHost
import Model
import OCI
import Testing

@testable import ImageDepot

@Suite struct ImageDepotTests {
    /// A depot in a folder of its own.
    final class Bench: Sendable {
        let path = NSTemporaryDirectory() + "isle-depot-" + UUID().uuidString
        let depot: ImageDepot

        init() throws {
            try FileManager.default.createDirectory(atPath: path + "/tmp", withIntermediateDirectories: true)
            depot = try ImageDepot(root: path + "/state", temporary: path + "/tmp", environment: ["HOME": path])
        }

        func rootTar(_ name: String) async throws -> String {
            let root = path + "/" + name
            try FileManager.default.createDirectory(atPath: root + "/etc", withIntermediateDirectories: true)
            try Data(name.utf8).write(to: URL(fileURLWithPath: root + "/etc/hostname"))
            try await ProcessRunner.check("tar", ["-C", root, "-cf", root + ".tar", "."])
            return root + ".tar"
        }

        func end() async throws {
            try await depot.shutdown()
            try FileManager.default.removeItem(atPath: path)
        }
    }

    func withBench(_ body: (Bench) async throws -> Void) async throws {
        let bench = try Bench()
        do {
            try await body(bench)
        } catch {
            try await bench.end()
            throw error
        }
        try await bench.end()
    }

    @Test func filesBecomeImages() async throws {
        try await withBench { bench in
            let depot = bench.depot
            let image = try await depot.importFile(bench.rootTar("one"), architecture: "aarch64") { _ in }[0]
            #expect(image.content == .rootFilesystem && image.architecture == "aarch64")
            #expect(image.createdAt.map { abs($0 - Date.now.timeIntervalSince1970) < 60 } == true)
            let wasm = bench.path + "/m.wasm"
            try Data([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]).write(to: URL(fileURLWithPath: wasm))
            let module = try await depot.importFile(wasm, architecture: "x86_64") { _ in }[0]
            #expect(module.content == .module && module.architecture.isEmpty)
            #expect(module.layers[0].diffID == module.layers[0].digest)
            #expect(try await depot.history(image.digest).map(\.size) == [image.layers[0].size])
            #expect(try await depot.blob(image.layers[0].digest).hasPrefix(bench.path))
            #expect(try await depot.usage() > 0)
        }
    }

    @Test func aBootstrappedTarRunsItsCommand() async throws {
        try await withBench { bench in
            let image = try await bench.depot.bringIn(
                rootFilesystem: bench.rootTar("one"), architecture: "x86_64", command: ["/sbin/init"],
                properties: ["os": "debian"]
            ) { _ in }
            #expect(image.config.cmd == ["/sbin/init"] && image.properties["os"] == "debian")
        }
    }

    @Test func exportedImagesComeBackWithTheirNames() async throws {
        try await withBench { bench in
            let depot = bench.depot
            let image = try await depot.importFile(bench.rootTar("one"), architecture: "x86_64") { _ in }[0]
            for format in [ImageArchiveFormat.oci, .docker] {
                let path = bench.path + "/out.tar"
                try await depot.export(
                    [(image.digest, ["docker.io/library/a:1", "localhost/b:2"])], format: format, to: path)
                let back = try await depot.importFile(path, architecture: "x86_64") { _ in }
                #expect(back.map(\.names) == [["docker.io/library/a:1", "localhost/b:2"]])
                #expect(back[0].configDigest == image.configDigest)
            }
        }
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/qemu-img"), "qemu-img is not installed"))
    func disksOfOtherProgramsBecomeQcow2() async throws {
        try await withBench { bench in
            for format in ["vmdk", "vdi", "vpc", "qcow2", "raw"] {
                let raw = bench.path + "/disk.raw"
                // A master boot record with one partition.
                var bytes = [UInt8](repeating: 0, count: 4 << 20)
                bytes.replaceSubrange(446..<462, with: [0x80, 0, 0, 0, 0x83, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0])
                bytes[0] = 0xeb
                bytes.replaceSubrange(510..<512, with: [0x55, 0xaa])
                try Data(bytes).write(to: URL(fileURLWithPath: raw))
                let path = bench.path + "/disk." + format
                if format != "raw" {
                    try await ProcessRunner.check("qemu-img", ["convert", "-f", "raw", "-O", format, raw, path])
                }
                let image = try await bench.depot.importFile(path, architecture: "x86_64") { _ in }[0]
                #expect(image.content == .disk && image.properties["imported-from"] == format, "\(format)")
                #expect(image.properties["firmware"] == "bios")
                #expect(image.layers.map(\.mediaType) == [MediaType.diskQcow2])
                let stored = try await bench.depot.blob(image.layers[0].digest)
                try await ProcessRunner.check("qemu-img", ["compare", "-f", "qcow2", "-F", format, stored, path])
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.path + "/tmp").isEmpty)
        }
    }

    @Test func pruneSparesWhatWasJustHandedOverAndFreesTheRest() async throws {
        try await withBench { bench in
            let depot = bench.depot
            let image = try await depot.importFile(bench.rootTar("one"), architecture: "x86_64") { _ in }[0]
            #expect(try await depot.prune(keeping: []) == 0)
            // Once the engine has recorded it, its word alone counts.
            #expect(try await depot.prune(keeping: [image.digest]) == 0)
            #expect(try await depot.prune(keeping: []) > 0)
            await #expect(throws: EngineError.self) { try await depot.blob(image.layers[0].digest) }
        }
    }

    @Test func nothingIsPrunedWhileSomethingIsBroughtIn() async throws {
        let pruning = PruneGuard()
        await #expect(throws: EngineError.self) {
            _ = try await pruning.sparing {
                #expect(pruning.forPrune(recorded: []) == nil)
                return []
            }
        }
        #expect(pruning.forPrune(recorded: []) == [])
    }

    @Test func whatCannotBeImportedIsNamed() async throws {
        try await withBench { bench in
            let path = bench.path + "/notes.txt"
            try Data("some words".utf8).write(to: URL(fileURLWithPath: path))
            let error = await #expect(throws: EngineError.self) {
                try await bench.depot.importFile(path, architecture: "x86_64") { _ in }
            }
            #expect(error?.message.contains("notes.txt") == true)
        }
    }
}
