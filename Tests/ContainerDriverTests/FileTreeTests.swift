import DriverKit
import Glibc
import LinuxHost
import Model
import Testing

@testable import ContainerDriver

@Suite(.enabled(if: Fixture.canRun, Fixture.needs))
struct FileTreeTests {
    private func read(_ tree: any FileTree, _ path: String) async throws -> String {
        let file = try await tree.open(GuestPath(path), FileOpening())
        defer { file.close() }
        return String(decoding: try await file.read(at: 0, count: 1 << 16), as: UTF8.self)
    }

    private func write(
        _ tree: any FileTree, _ path: String, _ text: String, _ attributes: FileChange = FileChange()
    ) async throws {
        let file = try await tree.open(
            GuestPath(path), FileOpening(writes: true, creates: true, truncates: true, attributes: attributes))
        defer { file.close() }
        try await file.write(Array(text.utf8), at: 0)
    }

    /// What every tree does, at rest and running.
    private func exercise(_ tree: any FileTree, isBounded: Bool) async throws {
        #expect(try await read(tree, "/etc/group").hasPrefix("root:"))
        try await write(
            tree, "/etc/new", "content", FileChange(permissions: 0o4640, user: 33, group: 44, modified: 1_000_000))
        let facts = try #require(try await tree.facts(GuestPath("/etc/new"), following: false))
        #expect(facts.kind == .regular && facts.permissions == 0o4640 && facts.user == 33 && facts.group == 44)
        #expect(facts.size == 7)
        try await tree.makeDirectory(GuestPath("/srv"), FileChange(permissions: 0o700, user: 33))
        try await tree.makeLink(GuestPath("/srv/link"), target: GuestPath("/etc/new"), FileChange(user: 33))
        #expect(try await tree.readLink(GuestPath("/srv/link")) == GuestPath("/etc/new"))
        #expect(try await tree.facts(GuestPath("/srv/link"), following: false)?.kind == .symbolicLink)
        #expect(try await tree.facts(GuestPath("/srv/link"), following: true)?.size == 7)
        #expect(try await read(tree, "/srv/link") == "content")
        try await write(tree, "/srv/link", "more")
        #expect(try await read(tree, "/etc/new") == "more")
        #expect(try await tree.list(GuestPath("/srv")).map(\.name) == [GuestPath("link")])
        try await tree.rename(GuestPath("/etc/new"), to: GuestPath("/etc/newer"), replacing: false)
        #expect(try await tree.facts(GuestPath("/etc/new"), following: false) == nil)
        try await tree.change(
            GuestPath("/etc/newer"), FileChange(permissions: 0o600, user: 0, size: 2), following: true)
        #expect(try await read(tree, "/etc/newer") == "mo")
        await #expect(throws: EngineError.self) { try await tree.remove(GuestPath("/srv")) }
        try await tree.remove(GuestPath("/srv/link"))
        try await tree.remove(GuestPath("/srv"))
        await #expect(throws: EngineError.self) { try await read(tree, "/etc") }
        guard isBounded else { return }
        await #expect(throws: EngineError.self) {
            try await write(tree, "/etc/x", "", FileChange(user: 70_000))
        }
    }

    @Test func filesOfAStoppedContainer() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan("true")
            let tree = try await fixture.driver.files(
                of: plan.root, mounts: plan.mounts, runDirectory: plan.runDirectory)
            let kept = try await tree.open(GuestPath("/etc/group"), FileOpening())
            try await exercise(tree, isBounded: false)
            await tree.close()
            #expect(tree.isClosed)
            await #expect(throws: EngineError.self) { try await kept.read(at: 0, count: 1) }
            await #expect(throws: EngineError.self) { try await tree.facts(GuestPath("/"), following: false) }
            // Owners on disk are those inside, and the start after it sees all.
            let upper = "\(fixture.directory)/instances/\(plan.id)/upper"
            #expect(try RootDirectory(path: upper).status("etc/newer")?.user == 0)
            var next = plan
            next.process.arguments = ["/bin/cat", "/etc/newer"]
            #expect(try await fixture.run(next).output == "mo")
            #expect(fixture.residue(plan) == [])
        }
    }

    @Test func filesOfARunningContainer() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan(
                "mount -t tmpfs t /tmp; echo inside > /tmp/seen; ln -s /proc/1/root /escape; mknod /tmp/pipe p; exec sleep 100",
                kind: .system)
            let handle = try await fixture.driver.create(plan)
            do {
                try await handle.start()
                let tree = try await #require(handle.files).tree()
                while try await tree.facts(GuestPath("/tmp/pipe"), following: false) == nil {
                    try await Task.sleep(for: .milliseconds(20))
                }
                #expect(try await read(tree, "/tmp/seen") == "inside\n")
                try await exercise(tree, isBounded: true)
                let seen = try await handle.run(["stat", "-c", "%u %g %a", "/etc/newer"])
                #expect(seen.output == "0 44 600\n")
                // Neither links of /proc nor `..` lead out, and a pipe is not waited for.
                await #expect(throws: EngineError.self) { try await read(tree, "/escape/etc/hostname") }
                await #expect(throws: EngineError.self) { try await read(tree, "/tmp/pipe") }
                #expect(try await read(tree, "/../../../../tmp/seen") == "inside\n")
                await tree.close()
                try await handle.delete()
            } catch {
                try await handle.delete()
                throw error
            }
            #expect(fixture.residue(plan) == [])
        }
    }

    /// A container that exchanges a folder and a link all the time never gets a file of the host read or made.
    @Test func copyRacesStayInside() async throws {
        try await withFixture { fixture in
            let secret = "\(fixture.directory)/secret"
            try HostFiles.makeDirectory(secret, mode: 0o755)
            try HostFiles.write("\(secret)/file", "of the host", mode: 0o644)
            let plan = try fixture.plan(
                "mkdir /a /b; echo inside > /a/file; ln -s \(secret) /l; while true; do mv /a /c; mv /l /a; mv /a /l; mv /c /a; done",
                kind: .system)
            let handle = try await fixture.driver.create(plan)
            do {
                try await handle.start()
                let tree = try await #require(handle.files).tree()
                for round in 0..<300 {
                    if let text = try? await read(tree, "/a/file") { #expect(text == "inside\n") }
                    try? await write(tree, "/a/made\(round)", "x")
                }
                #expect(try RootDirectory(path: secret).list().map(\.name.text) == ["file"])
                await tree.close()
                try await handle.delete()
            } catch {
                try await handle.delete()
                throw error
            }
        }
    }

    /// What a folder of the host keeps from the instance's root user, it keeps from the API too.
    @Test func hostFoldersKeepTheirPermissions() async throws {
        try await withFixture { fixture in
            let shared = "\(fixture.directory)/shared"
            try HostFiles.makeDirectory(shared, mode: 0o755)
            try HostFiles.write("\(shared)/open", "for all", mode: 0o644)
            try HostFiles.write("\(shared)/closed", "for root", mode: 0o600)
            var plan = try fixture.plan("sleep 100", kind: .system)
            plan.mounts = [MountSpec(source: shared, target: "/shared")]
            let handle = try await fixture.driver.create(plan)
            do {
                try await handle.start()
                let tree = try await #require(handle.files).tree()
                #expect(try await read(tree, "/shared/open") == "for all")
                #expect(try await tree.facts(GuestPath("/shared/open"), following: false)?.user == 65534)
                for work in [
                    { _ = try await read(tree, "/shared/closed") }, { try await write(tree, "/shared/open", "x") },
                    { try await write(tree, "/shared/new", "x") }, { try await tree.remove(GuestPath("/shared/open")) },
                    {
                        try await tree.change(
                            GuestPath("/shared/open"), FileChange(permissions: 0o777), following: true)
                    },
                ] {
                    await #expect {
                        try await work()
                    } throws: {
                        ($0 as? EngineError)?.code == .permissionDenied
                    }
                }
                await tree.close()
                try await handle.delete()
            } catch {
                try await handle.delete()
                throw error
            }
        }
    }
}
