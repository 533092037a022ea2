import CHost
import Glibc
import LinuxHost
import Model
import Testing

/// A folder of its own for one test, removed at the end.
final class TemporaryFolder: Sendable {
    let root: RootDirectory
    var path: String { root.path }

    init(_ confinement: RootDirectory.Confinement = .inRoot) throws {
        let path = "/tmp/isle-root-test-\(UInt64.random(in: .min ... .max))"
        root = try RootDirectory(path: path, create: true, confinement: confinement)
    }

    deinit {
        do { try RootDirectory(path: "/tmp").removeTree(String(path.dropFirst(5))) } catch {
            Issue.record("left \(path) behind: \(error)")
        }
    }
}

func code(_ body: () throws -> Void) -> EngineError.Code? {
    do {
        try body()
        return nil
    } catch { return (error as? EngineError)?.code }
}

@Suite struct RootDirectoryTests {
    @Test func filesFoldersAndListing() throws {
        let folder = try TemporaryFolder()
        try folder.root.makeDirectories("a/b/c")
        try folder.root.writeFile("a/b/file", Array("hello".utf8), mode: 0o640)
        #expect(try folder.root.readFile("/a/b/file") == Array("hello".utf8))
        #expect(try folder.root.status("a/b/file")?.permissions == 0o640)
        #expect(try Set(folder.root.list("a/b").map(\.name.text)) == ["c", "file"])
        #expect(try folder.root.list("a/b").first { $0.name == "c" }?.kind == .directory)
        #expect(try folder.root.status("a/missing") == nil)
        #expect(try folder.root.status("missing/too") == nil)
    }

    @Test func absoluteLinksMeanTheRoot() throws {
        let folder = try TemporaryFolder()
        try folder.root.makeDirectory("etc")
        try folder.root.writeFile("etc/passwd", Array("inside".utf8))
        try folder.root.makeSymbolicLink("link", target: "/etc")
        try folder.root.makeSymbolicLink("up", target: "../../../../../etc")
        #expect(try folder.root.readFile("link/passwd") == Array("inside".utf8))
        #expect(try folder.root.readFile("up/passwd") == Array("inside".utf8))
        #expect(try folder.root.readFile("../../etc/passwd") == Array("inside".utf8))
    }

    @Test func beneathRefusesToLeave() throws {
        let folder = try TemporaryFolder(.beneath)
        try folder.root.makeSymbolicLink("link", target: "/etc")
        #expect(code { _ = try folder.root.readFile("link/passwd") } == .permissionDenied)
        #expect(code { _ = try folder.root.readFile("../../etc/passwd") } == .permissionDenied)
        #expect(code { try folder.root.makeDirectories("link/x") } == .permissionDenied)
    }

    @Test func magicLinksAreRefused() throws {
        let proc = try RootDirectory(path: "/proc")
        #expect(code { _ = try proc.open("self/cwd/tmp", O_RDONLY) } == .invalidArgument)
    }

    @Test func theLastNameIsNotFollowed() throws {
        let outside = try TemporaryFolder()
        try outside.root.writeFile("victim", Array("old".utf8))
        let folder = try TemporaryFolder()
        try folder.root.makeSymbolicLink("link", target: "\(outside.path)/victim")
        #expect(code { _ = try folder.root.createFile("link") } == .alreadyExists)
        try folder.root.writeFile("link", Array("new".utf8))
        #expect(try folder.root.status("link")?.kind == .regular)
        #expect(try outside.root.readFile("victim") == Array("old".utf8))
    }

    @Test func foldersBehindDanglingLinksAreMadeInside() throws {
        let folder = try TemporaryFolder()
        try folder.root.makeDirectory("var")
        try folder.root.makeSymbolicLink("var/run", target: "/run/isle-test")
        try folder.root.makeDirectories("var/run/lock")
        #expect(try folder.root.status("run/isle-test/lock")?.kind == .directory)
        try folder.root.makeSymbolicLink("loop", target: "loop")
        #expect(code { try folder.root.makeDirectories("loop/x") } == .invalidArgument)
    }

    @Test func namesThatAreNotUTF8() throws {
        let folder = try TemporaryFolder()
        let name = HostPath(bytes: [0x66, 0xff, 0xfe])
        try folder.root.writeFile(name, [1, 2, 3])
        #expect(try folder.root.list().map(\.name) == [name])
        #expect(try folder.root.readFile(name) == [1, 2, 3])
        try folder.root.removeFile(name)
        #expect(try folder.root.list().isEmpty)
    }

    @Test func linksNodesAndAttributes() throws {
        let folder = try TemporaryFolder()
        try folder.root.writeFile("file", [1])
        try folder.root.makeHardLink("second", to: "file")
        #expect(try folder.root.status("file")?.links == 2)
        try folder.root.makeNode("pipe", .fifo)
        #expect(try folder.root.status("pipe")?.kind == .fifo)
        #expect(code { _ = try folder.root.readFile("pipe") } == .invalidArgument)
        try folder.root.setModified("file", FileTime(seconds: 1_000_000_000, nanoseconds: 5))
        #expect(try folder.root.status("file")?.modified == FileTime(seconds: 1_000_000_000, nanoseconds: 5))
        try folder.root.setPermissions("file", 0o4711)
        #expect(try folder.root.status("file")?.permissions == 0o4711)
        try folder.root.makeSymbolicLink("link", target: "file")
        #expect(try folder.root.readLink("link") == "file")
        #expect(code { try folder.root.setPermissions("link", 0o777) } != nil)
    }

    @Test(.enabled(if: geteuid() == 0, "needs root: trusted attributes, owners and devices"))
    func whatOnlyRootMaySet() throws {
        let folder = try TemporaryFolder()
        try folder.root.writeFile("file", [1])
        try folder.root.setAttribute("file", "trusted.isle", [7])
        try folder.root.setAttribute(".", "trusted.isle", [8])
        #expect(try folder.root.attribute("file", "trusted.isle") == [7])
        #expect(try folder.root.attribute(".", "trusted.isle") == [8])
        #expect(try folder.root.attribute("file", "trusted.none") == nil)
        #expect(try folder.root.attributeNames("file").contains("trusted.isle"))
        try folder.root.removeAttribute("file", "trusted.isle")
        try folder.root.removeAttribute("file", "trusted.isle")
        try folder.root.setOwner("file", user: 1234, group: 65535)
        #expect(try folder.root.status("file")?.user == 1234)
        try folder.root.makeNode("gone", .characterDevice, permissions: 0)
        #expect(try folder.root.status("gone")?.kind == .characterDevice)
        #expect(try folder.root.status("gone")?.major == 0)
    }

    @Test func renamesWithinAndAcross() throws {
        let folder = try TemporaryFolder()
        let other = try TemporaryFolder()
        try folder.root.writeFile("a", [1])
        try folder.root.writeFile("b", [2])
        #expect(code { try folder.root.rename("a", to: "b", replacing: false) } == .alreadyExists)
        try folder.root.rename("a", to: "c", in: other.root)
        #expect(try other.root.readFile("c") == [1])
        #expect(try folder.root.status("a") == nil)
    }

    @Test func limitsAndBadPaths() throws {
        let folder = try TemporaryFolder()
        try folder.root.writeFile("big", [UInt8](repeating: 1, count: 5000))
        #expect(code { _ = try folder.root.readFile("big", limit: 4999) } == .resourceExhausted)
        #expect(try folder.root.readFile("big", limit: 5000).count == 5000)
        #expect(code { try folder.root.removeFile("..") } == .invalidArgument)
        #expect(code { try folder.root.removeFile("/") } == .invalidArgument)
        #expect(code { try folder.root.makeDirectory(String(repeating: "n", count: 256)) } == .invalidArgument)
    }

    @Test func removalOfAVeryDeepTree() throws {
        let folder = try TemporaryFolder()
        var here = try folder.root.subdirectory(".")
        for _ in 0..<1500 {
            try here.makeDirectory("d")
            try here.writeFile("f", [1], durable: false)
            here = try here.subdirectory("d")
        }
        try folder.root.removeTree("d")
        #expect(try folder.root.list().map(\.name) == ["f"])
    }

    @Test func removalFollowsNoLink() throws {
        let outside = try TemporaryFolder()
        try outside.root.writeFile("keep", [1])
        let folder = try TemporaryFolder()
        try folder.root.makeDirectory("tree")
        try folder.root.makeSymbolicLink("tree/link", target: outside.path)
        try folder.root.removeTree("tree")
        #expect(try outside.root.exists("keep"))
        try folder.root.removeTree("not-there/at-all")
    }

    @Test(.enabled(if: geteuid() == 0, "needs root: mounts"))
    func removalStopsAtAMount() async throws {
        let folder = try TemporaryFolder()
        try folder.root.makeDirectories("tree/mounted")
        try folder.root.makeDirectory("source")
        try folder.root.writeFile("source/keep", [1])
        // On a thread with mounts of its own.
        try await runOnOwnThread {
            #expect(isle_thread_private_mounts() == 0)
            #expect(isle_thread_bind("\(folder.path)/source", "\(folder.path)/tree/mounted", 0) == 0)
            #expect(code { try folder.root.removeTree("tree") } == .busy)
            #expect(code { try folder.root.removeTree("tree/mounted") } == .busy)
        }
        #expect(try folder.root.readFile("source/keep") == [1])
        try folder.root.removeTree("tree")
    }

    @Test func errorsNameThePath() throws {
        let folder = try TemporaryFolder()
        do {
            _ = try folder.root.readFile("some\nthing/x")
            Issue.record("reading a missing file succeeded")
        } catch let error as EngineError {
            #expect(error.code == .notFound)
            #expect(error.message == "cannot open \(folder.path)/some\\nthing/x")
            #expect(error.description.hasSuffix("No such file or directory"))
        }
    }

    @Test func nothingTemporaryStaysAfterAFailedWrite() throws {
        let folder = try TemporaryFolder()
        try folder.root.makeDirectory("taken")
        #expect(code { try folder.root.writeFile("taken", [1]) } != nil)
        #expect(try folder.root.list().map(\.name) == ["taken"])
    }
}
