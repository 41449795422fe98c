// SPDX-License-Identifier: Apache-2.0
//
// ram_1r1w: synchronous RAM with one write port and one read port. Replace the body by the
// SRAM macro of the target technology.
//
// Read        rdata is valid in the cycle after re and keeps its value until the next re or clear.
// Collision   a read of the address written in the same cycle returns the old word.
// Reset       none: the owner overwrites the contents where they are secret, and clears rdata.

`resetall
`default_nettype none

module ram_1r1w #(
    parameter W     = 8,  // word width in bits, >= 1
    parameter DEPTH = 16  // words, >= 2
) (
    input  wire                     clk,

    input  wire                     we,
    input  wire [$clog2(DEPTH)-1:0] waddr,
    input  wire [W-1:0]             wdata,

    input  wire                     clear,  // zeroes rdata, goes before re
    input  wire                     re,
    input  wire [$clog2(DEPTH)-1:0] raddr,
    output reg  [W-1:0]             rdata
);

    reg [W-1:0] mem [0:DEPTH-1];

    always @(posedge clk) begin
        if (we) mem[waddr] <= wdata;
        if (clear)   rdata <= {W{1'b0}};
        else if (re) rdata <= mem[raddr];
    end

endmodule

`resetall
