import Testing
import WireTypes

@testable import Client

@Suite struct EnvelopeTests {
    private func error(_ body: String, status: Int) -> ClientError? {
        clientError { let _: API.Response<[String]> = try Envelope.decode(Array(body.utf8), status: status) }
    }

    @Test func anErrorAnswerKeepsTheDaemonsSentence() {
        let found = error(#"{"type":"error","error":"instance 'x' does not exist","error_code":404}"#, status: 404)
        #expect(found == ClientError(.refused(status: 404), "instance 'x' does not exist"))
        #expect(found?.isNotFound == true)
    }

    @Test func anErrorWithStatus200IsAnErrorToo() {
        #expect(error(#"{"type":"error","error":"no","error_code":409}"#, status: 200)?.kind == .refused(status: 409))
    }

    @Test func anErrorWithoutJSONNamesTheStatus() {
        #expect(error("<html>", status: 502)?.message == "the daemon answered with HTTP status 502")
    }

    @Test func metadataOfAnotherShapeNamesThePlace() {
        let found = error(#"{"type":"sync","metadata":[1]}"#, status: 200)
        #expect(found?.kind == .malformedAnswer)
        #expect(found?.message.contains("metadata") == true)
    }

    @Test func messageAndHintStandInOneLine() {
        #expect("\(ClientError(.local, "a", hint: "b"))" == "a (b)")
        #expect("\(ClientError(.local, "a"))" == "a")
    }
}
