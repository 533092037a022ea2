import Testing

@testable import MachineDriver

@Suite struct TPMTests {
    @Test func qemuIsToldOfTheSocket() {
        #expect(
            TPM.options(folder: "/m") == [
                "-chardev", "socket,id=tpm,path=/m/tpm", "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device",
                "tpm-crb,tpmdev=tpm0",
            ])
    }
}
