// SPDX-License-Identifier: Apache-2.0
//
// axi_memory: the least memory that the engine's m_axi port needs. One burst at a time in each
// direction, INCR bursts of full width, no errors; addresses repeat every WORDS words.

`resetall
`default_nettype none

module axi_memory #(
    parameter DATA_W = 128,  // data width in bits
    parameter ADDR_W = 40,   // address width in bits
    parameter ID_W   = 4,    // ID width in bits
    parameter WORDS  = 1024  // size in words of DATA_W bits, a power of two
) (
    input  wire                clk,
    input  wire                rst,

    input  wire [ID_W-1:0]     awid,
    input  wire [ADDR_W-1:0]   awaddr,
    input  wire                awvalid,
    output wire                awready,
    input  wire [DATA_W-1:0]   wdata,
    input  wire [DATA_W/8-1:0] wstrb,
    input  wire                wlast,
    input  wire                wvalid,
    output wire                wready,
    output reg  [ID_W-1:0]     bid,
    output wire [1:0]          bresp,
    output reg                 bvalid,
    input  wire                bready,

    input  wire [ID_W-1:0]     arid,
    input  wire [ADDR_W-1:0]   araddr,
    input  wire [7:0]          arlen,
    input  wire                arvalid,
    output wire                arready,
    output reg  [ID_W-1:0]     rid,
    output wire [DATA_W-1:0]   rdata,
    output wire [1:0]          rresp,
    output wire                rlast,
    output wire                rvalid,
    input  wire                rready
);

    localparam SHIFT   = $clog2(DATA_W / 8);
    localparam INDEX_W = $clog2(WORDS);

    reg [DATA_W-1:0] words [0:WORDS-1];

    // Writes: the address, then the data, then the response.
    reg               writing;
    reg [INDEX_W-1:0] write_index;
    integer           i;

    assign awready = !writing && !bvalid;
    assign wready  = writing;
    assign bresp   = 2'b00;

    always @(posedge clk) begin
        if (rst) begin
            writing <= 1'b0;
            bvalid  <= 1'b0;
        end else begin
            if (awvalid && awready) begin
                writing     <= 1'b1;
                bid         <= awid;
                write_index <= awaddr[SHIFT +: INDEX_W];
            end
            if (wvalid && wready) begin
                for (i = 0; i < DATA_W / 8; i = i + 1)
                    if (wstrb[i]) words[write_index][8*i +: 8] <= wdata[8*i +: 8];
                write_index <= write_index + 1'b1;
                writing     <= !wlast;
                bvalid      <= wlast;
            end
            if (bready && bvalid) bvalid <= 1'b0;
        end
    end

    // Reads: the address, then one beat in every cycle in which the engine takes it.
    reg               reading;
    reg [INDEX_W-1:0] read_index;
    reg [7:0]         beats_left;

    assign arready = !reading;
    assign rvalid  = reading;
    assign rdata   = words[read_index];
    assign rlast   = beats_left == 8'd0;
    assign rresp   = 2'b00;

    always @(posedge clk) begin
        if (rst) begin
            reading <= 1'b0;
        end else if (arvalid && arready) begin
            reading    <= 1'b1;
            rid        <= arid;
            read_index <= araddr[SHIFT +: INDEX_W];
            beats_left <= arlen;
        end else if (rvalid && rready) begin
            reading    <= !rlast;
            read_index <= read_index + 1'b1;
            beats_left <= beats_left - 1'b1;
        end
    end

endmodule

`resetall
