import Glibc
import LinuxHost
import Model
import ShimClient
import Testing

@Suite struct RecordTests {
    @Test func noFolderIsNoShim() async throws {
        let found = try await Shim.connect(directory: "/nonexistent/\(getpid())")
        #expect(found == nil)
        #expect(try Shim.exitRecord(directory: "/nonexistent/\(getpid())") == nil)
    }
}
