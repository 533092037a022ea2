import DriverKit
import Testing

@testable import MachineDriver

@Suite struct GuestFileTests {
    @Test func readsWhatStatSaysOfNamesWithLineEnds() {
        let text = "/81a4 0 0 5 1700000000 ./plain\n/41ed 1000 100 4096 1700000001 ./a\nb c\n/a1ff 0 0 3 0 ./ -rf\n"
        let files = GuestFileList.parse(Array(text.utf8))
        #expect(files.map(\.name.text) == ["plain", "a\nb c", " -rf"])
        #expect(files.map(\.facts.kind) == [.regular, .directory, .symbolicLink])
        #expect(files[1].facts.permissions == 0o755 && files[1].facts.user == 1000 && files[1].facts.group == 100)
        #expect(files[0].facts.size == 5 && files[0].facts.modified == 1_700_000_000)
    }

    @Test func readsOneFileAndNone() {
        #expect(GuestFileList.parse(Array("/8180 0 0 0 0 /etc/x\n".utf8)).first?.facts.permissions == 0o600)
        #expect(GuestFileList.parse([]).isEmpty)
        #expect(GuestFileList.parse(Array("/zz 0 0\n".utf8)).isEmpty)
    }

    @Test func aPathIsAbsoluteAndUTF8() throws {
        #expect(try GuestFileTree.text(GuestPath("etc//./x")) == "/etc/x")
        #expect(try GuestFileTree.text(GuestPath("")) == "/")
        #expect(throws: (any Error).self) { try GuestFileTree.text(GuestPath(bytes: [0xff])) }
    }
}
