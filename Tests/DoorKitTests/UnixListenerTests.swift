import CHost
import DoorKit
import Glibc
import Model
import Testing

@Suite("Listening on a unix socket")
struct UnixListenerTests {
    private func mode(_ path: String) -> mode_t {
        var info = stat()
        return stat(path, &info) == 0 ? info.st_mode & 0o777 : 0
    }

    @Test("without a group only the owner may connect")
    func ownerOnly() throws {
        let folder = try TemporaryFolder()
        let listener = try UnixListener.open(path: folder.path + "/s", group: "no-such-group-here")
        #expect(mode(folder.path + "/s") == 0o600)
        listener.close()
    }

    @Test("with a group its members may", .enabled(if: geteuid() == 0, "needs root"))
    func group() throws {
        let folder = try TemporaryFolder()
        let listener = try UnixListener.open(path: folder.path + "/s", group: "daemon")
        var info = stat()
        #expect(stat(folder.path + "/s", &info) == 0 && info.st_gid == 1)
        #expect(mode(folder.path + "/s") == 0o660)
        listener.close()
    }

    @Test("a socket that nobody answers is replaced, a living one is not")
    func stale() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/s"
        let first = try UnixListener.open(path: path)
        let error = #expect(throws: EngineError.self) { try UnixListener.open(path: path) }
        #expect(error?.code == .alreadyExists)
        _ = try RawClient(path)
        first.close()
        let second = try UnixListener.open(path: path)
        _ = try RawClient(path)
        second.close()
    }

    @Test("a symbolic link or a file in the way is left alone")
    func inTheWay() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/s"
        symlink(folder.path + "/elsewhere", path)
        #expect(throws: EngineError.self) { try UnixListener.open(path: path) }
        #expect(access(folder.path + "/elsewhere", F_OK) != 0)
        unlink(path)
        close(open(path, O_CREAT | O_WRONLY, 0o644))
        #expect(throws: EngineError.self) { try UnixListener.open(path: path) }
        #expect(access(path, F_OK) == 0)
    }

    @Test("a folder that others can write is refused")
    func folder() throws {
        let folder = try TemporaryFolder()
        chmod(folder.path, 0o777)
        let error = #expect(throws: EngineError.self) { try UnixListener.open(path: folder.path + "/s") }
        #expect(error?.code == .permissionDenied && error?.hint != nil)
        chmod(folder.path, 0o700)
    }

    @Test(
        "impossible paths",
        arguments: ["", "relative", "/tmp/\(String(repeating: "x", count: 110))", "/no/such/folder/s"])
    func paths(_ path: String) { #expect(throws: EngineError.self) { try UnixListener.open(path: path) } }

    @Test("nothing is inherited without the service manager's variables")
    func inherited() {
        setenv("LISTEN_PID", "1", 1)
        setenv("LISTEN_FDS", "1", 1)
        #expect(UnixListener.inherited().isEmpty)
        #expect(getenv("LISTEN_FDS") == nil)
    }
}
