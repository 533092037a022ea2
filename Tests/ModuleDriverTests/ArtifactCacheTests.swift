import DriverKit
import Foundation
import Glibc
import Model
import Testing

@testable import ModuleDriver

@Suite struct ArtifactCacheTests {
    let fixture: ModuleFixture
    private let digest = "sha256:" + String(repeating: "a", count: 64)

    init() throws { fixture = try ModuleFixture() }

    private func artifact(_ name: String = "core.wasm", usesFuel: Bool = false) async throws -> ArtifactCache.Artifact {
        try await fixture.cache.artifact(path: "\(fixture.path)/\(name)", digest: digest, usesFuel: usesFuel)
    }

    @Test func aModuleIsCompiledOnce() async throws {
        let first = try await artifact()
        #expect(!first.isComponent)
        #expect(try await artifact().path == first.path)
        #expect(fixture.compilations == 1)
        let metered = try await artifact(usesFuel: true)
        #expect(metered.path != first.path)
        #expect(fixture.compilations == 2)
        #expect(try await artifact("component.wasm").isComponent)
    }

    @Test func parallelStartsCompileOnce() async throws {
        let cache = fixture.cache
        let (path, digest) = (fixture.path + "/core.wasm", digest)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { _ = try await cache.artifact(path: path, digest: digest, usesFuel: false) }
            }
            try await group.waitForAll()
        }
        #expect(fixture.compilations == 1)
    }

    @Test(arguments: ["content", "mode", "link", "stamp"])
    func anArtifactThatWasTamperedWithIsMadeAnew(how: String) async throws {
        var file = try await artifact().path
        // Also one that was found to be in order before.
        if how != "stamp" { file = try await artifact().path }
        switch how {
        case "content": try Data("evil".utf8).write(to: URL(fileURLWithPath: file))
        case "mode": try #require(chmod(file, 0o666) == 0)
        case "link":
            try #require(rename(file, file + ".moved") == 0 && symlink(file + ".moved", file) == 0)
        default: try #require(unlink(file + ".sha256") == 0)
        }
        #expect(try await artifact().path == file)
        #expect(fixture.compilations == 2)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file)).count == 8)
        var status = stat()
        try #require(lstat(file, &status) == 0)
        #expect(status.st_mode & S_IFMT == S_IFREG && status.st_mode & 0o022 == 0)
    }

    @Test func anotherEngineMakesItsOwn() async throws {
        let first = try await artifact().path
        try fixture.write("library", Array("another library".utf8))
        #expect(try await artifact().path != first)
        #expect(fixture.compilations == 2)
    }

    @Test func whatCannotBeCompiledLeavesNothing() async throws {
        try fixture.write("broken", [])
        let error = await #expect(throws: EngineError.self) { try await artifact() }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("it is no module") == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.path + "/cache").isEmpty)
    }

    @Test func whatIsNoModuleIsRefused() async throws {
        try fixture.write("text", Array("#!/bin/sh\n".utf8))
        try fixture.write("short", [0, 0x61, 0x73])
        for name in ["text", "short"] {
            let error = await #expect(throws: EngineError.self) { try await artifact(name) }
            #expect(error?.code == .invalidArgument)
        }
        let missing = await #expect(throws: EngineError.self) { try await artifact("missing") }
        #expect(missing?.code == .notFound)
        for digest in ["md5:aa", "sha256:../../x", "sha256:a/b"] {
            await #expect(throws: EngineError.self) {
                try await fixture.cache.artifact(
                    path: fixture.path + "/core.wasm", digest: digest, usesFuel: false)
            }
        }
        #expect(fixture.compilations == 0)
    }

    @Test func withoutTheLibraryModulesAreUnsupported() async throws {
        try #require(unlink(fixture.programs.library) == 0)
        let error = await #expect(throws: EngineError.self) { try await artifact() }
        #expect(error?.code == .unsupported)
        #expect(error?.message.contains(fixture.programs.library) == true)
    }
}
