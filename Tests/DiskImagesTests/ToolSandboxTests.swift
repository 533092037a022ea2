import Glibc
import LinuxHost
import Model
import Testing

@testable import DiskImages

@Suite(.enabled(if: canImport, "needs root, qemu-img and setpriv"))
struct ToolSandboxTests {
    /// A sandbox with one input, the file `secret` of mode 0644, and the output `result`.
    private func sandbox(_ folder: ImportFolder, limit: UInt64 = 1 << 20, seconds: Int = 60) throws -> ToolSandbox {
        try folder.root.writeFile("secret", Array("input".utf8))
        try folder.root.makeDirectory("root")
        let output = try folder.root.createFile("result", mode: 0o600)
        try folder.root.setOwner("result", user: 1_900_000_001, group: 1_900_000_001)
        return ToolSandbox(
            mountPoint: "\(folder.path)/root",
            inputs: [.init(name: "disk", file: try folder.root.open("secret", O_RDONLY))], output: output,
            user: 1_900_000_001, outputLimit: limit, processorTime: seconds)
    }

    @Test func theToolSeesItsFilesAndTheSystemsPrograms() async throws {
        try await ImportFolder.with { folder in
            let sandbox = try sandbox(folder)
            let seen = try await sandbox.run("find", ["/", "-xdev", "-maxdepth", "2"], timeout: .seconds(10))
            let names = Set(seen.split(separator: "\n").map(String.init))
            #expect(names.subtracting(["/lib", "/lib64", "/bin"]) == ["/", "/in", "/in/disk", "/out", "/usr"])
            #expect(try await sandbox.run("cat", ["/in/disk"], timeout: .seconds(10)) == "input")
            _ = try await sandbox.run("cp", ["/in/disk", "/out"], timeout: .seconds(10))
            #expect(try folder.root.readFile("result") == Array("input".utf8))
            // Nothing of it shows in the host's mount table, nor stays.
            #expect(!(try await ProcessRunner.check("cat", ["/proc/self/mountinfo"]).outputText.contains(folder.path)))
            #expect(try folder.root.list("root").isEmpty)
        }
    }

    @Test func theToolHasNoRights() async throws {
        try await ImportFolder.with { folder in
            let sandbox = try sandbox(folder)
            let id = try await sandbox.run("id", [], timeout: .seconds(10))
            #expect(id.hasPrefix("uid=1900000001 gid=1900000001 groups=1900000001"))
            let caps = try await sandbox.run("setpriv", ["--dump"], timeout: .seconds(10))
            #expect(caps.contains("no_new_privs: 1"))
            #expect(caps.contains("Capability bounding set: [none]"))
            for command in [["touch", "/in/disk"], ["touch", "/new"], ["rm", "/out"], ["touch", "/usr/new"]] {
                await #expect(throws: EngineError.self) {
                    _ = try await sandbox.run(command[0], Array(command.dropFirst()), timeout: .seconds(10))
                }
            }
        }
    }

    @Test func itsLimitsAreThere() async throws {
        try await ImportFolder.with { folder in
            let sandbox = try sandbox(folder, limit: 1000, seconds: 1)
            let written = await #expect(throws: EngineError.self) {
                _ = try await sandbox.run("dd", ["if=/usr/bin/find", "of=/out", "bs=4096"], timeout: .seconds(10))
            }
            #expect(written?.code == .resourceExhausted)
            let busy = await #expect(throws: EngineError.self) {
                _ = try await sandbox.run("sh", ["-c", "while :; do :; done"], timeout: .seconds(60))
            }
            #expect(busy?.code == .resourceExhausted)
        }
    }

    @Test func aToolThatTakesTooLongIsEnded() async throws {
        try await ImportFolder.with { folder in
            let sandbox = try sandbox(folder)
            let start = ContinuousClock.now
            let error = await #expect(throws: EngineError.self) {
                _ = try await sandbox.run("sleep", ["300"], timeout: .milliseconds(200))
            }
            #expect(error?.code == .timeout)
            #expect(ContinuousClock.now - start < .seconds(60))
        }
    }

    @Test func aCancelledToolIsEnded() async throws {
        try await ImportFolder.with { folder in
            let sandbox = try sandbox(folder)
            let task = Task { try await sandbox.run("sleep", ["300"], timeout: .seconds(600)) }
            try await Task.sleep(for: .milliseconds(200))
            task.cancel()
            let result = await task.result
            #expect(throws: (any Error).self) { try result.get() }
        }
    }

    @Test func aMissingToolIsSaid() async throws {
        try await ImportFolder.with { folder in
            await #expect(throws: EngineError.self) {
                _ = try await sandbox(folder).run("no-such-tool", [], timeout: .seconds(10))
            }
        }
    }
}
