// SPDX-License-Identifier: Apache-2.0
//
// power_ring: computes Q(i) = g^i = H^(-4 i) for the line index i at which a burst starts.
//
// The 30-bit index is five digits in base 64; for digit position p a table holds
// T_p[d] = g^(d * 64^p). A request is a token that goes round a ring of three stages, once
// for each digit that is not zero (once if all are): look-up, product, product. The ring
// holds three tokens and does one digit per cycle, so bursts that start anywhere keep up
// with a request every five cycles whatever the size of the tensor.
//
// req_*       two requesters, served in turn; accepted when req_valid && req_ready.
// rsp_*       one-cycle pulse, rsp_q in NIST order (bit 127 is the coefficient of x^0);
//             zero while rsp_valid is low.
// Latency     3 cycles for each round plus 1. Responses may overtake each other.
// Tables      written through tbl_* (tbl_sel 0 .. 4 = p) by the key unit, which also wipes them.

`resetall
`default_nettype none

module power_ring #(
    parameter TAG_W = 4  // width of the request tag in bits, >= 1
) (
    input  wire             clk,
    input  wire             rst,

    input  wire             tbl_we,
    input  wire [2:0]       tbl_sel,
    input  wire [7:0]       tbl_addr,
    input  wire [127:0]     tbl_data,

    input  wire             rd_req_valid,
    output wire             rd_req_ready,
    input  wire [29:0]      rd_req_line,
    input  wire [TAG_W-1:0] rd_req_tag,

    input  wire             wr_req_valid,
    output wire             wr_req_ready,
    input  wire [29:0]      wr_req_line,
    input  wire [TAG_W-1:0] wr_req_tag,

    output reg              rsp_valid,
    output reg              rsp_is_wr,
    output reg  [TAG_W-1:0] rsp_tag,
    output reg  [127:0]     rsp_q
);

    localparam [127:0] ONE    = {1'b1, 127'd0};
    localparam         SIDE_W = TAG_W + 1 + 30;

    // Token as it comes out of the ring.
    wire              back_valid;
    wire [127:0]      back_acc;
    wire [TAG_W-1:0]  back_tag;
    wire              back_is_wr;
    wire [29:0]       back_left;

    wire              back_done  = back_valid && (back_left == 30'd0);
    wire              slot_free  = !back_valid || back_done;

    // The one that was not served last goes first.
    reg               rd_last;
    wire              take_rd = rd_req_valid && !(wr_req_valid && rd_last);

    assign rd_req_ready = slot_free && !(wr_req_valid && rd_last);
    assign wr_req_ready = slot_free && (!rd_req_valid || rd_last);

    always @(posedge clk) begin
        if (rst)                                              rd_last <= 1'b0;
        else if (slot_free && (rd_req_valid || wr_req_valid)) rd_last <= take_rd;
    end

    // Token that enters the look-up stage.
    wire              go       = !slot_free || rd_req_valid || wr_req_valid;
    wire              go_is_wr = slot_free ? !take_rd : back_is_wr;
    wire [TAG_W-1:0]  go_tag   = !slot_free ? back_tag : take_rd ? rd_req_tag : wr_req_tag;
    wire [29:0]       go_left  = !slot_free ? back_left : take_rd ? rd_req_line : wr_req_line;
    wire [127:0]      go_acc   = slot_free ? ONE : back_acc;

    // The lowest digit that is not zero; the token leaves with it cleared.
    reg  [2:0]        pos;
    reg  [5:0]        digit;
    reg  [29:0]       go_rest;
    always @* begin
        if      (go_left[5:0]   != 6'd0) pos = 3'd0;
        else if (go_left[11:6]  != 6'd0) pos = 3'd1;
        else if (go_left[17:12] != 6'd0) pos = 3'd2;
        else if (go_left[23:18] != 6'd0) pos = 3'd3;
        else                             pos = 3'd4;
        case (pos)
            3'd0:    digit = go_left[5:0];
            3'd1:    digit = go_left[11:6];
            3'd2:    digit = go_left[17:12];
            3'd3:    digit = go_left[23:18];
            default: digit = go_left[29:24];
        endcase
        go_rest = go_left;
        case (pos)
            3'd0:    go_rest[5:0]   = 6'd0;
            3'd1:    go_rest[11:6]  = 6'd0;
            3'd2:    go_rest[17:12] = 6'd0;
            3'd3:    go_rest[23:18] = 6'd0;
            default: go_rest[29:24] = 6'd0;
        endcase
    end

    wire [127:0] digit_power;
    ram_1r1w #(
        .W     (128),
        .DEPTH (320)
    ) u_digits (
        .clk   (clk),
        .we    (tbl_we && tbl_sel <= 3'd4 && tbl_addr[7:6] == 2'd0),
        .waddr ({tbl_sel, tbl_addr[5:0]}),
        .wdata (tbl_data),
        .clear (tbl_we),
        .re    (go),
        .raddr ({pos, digit}),
        .rdata (digit_power)
    );

    // Look-up stage and the two stages of the product.
    reg               look_valid;
    reg [127:0]       look_acc;
    reg [SIDE_W-1:0]  look_side, mul1_side, mul2_side;

    always @(posedge clk) begin
        if (rst) begin
            look_valid <= 1'b0;
            look_acc   <= 128'd0;
            look_side  <= {SIDE_W{1'b0}};
            mul1_side  <= {SIDE_W{1'b0}};
            mul2_side  <= {SIDE_W{1'b0}};
        end else begin
            look_valid <= go;
            look_acc   <= go ? go_acc : 128'd0;
            look_side  <= {go_tag, go_is_wr, go_rest};
            mul1_side  <= look_side;
            mul2_side  <= mul1_side;
        end
    end

    gf128_mul #(
        .STAGES (2)
    ) u_mul (
        .clk       (clk),
        .clear     (rst),
        .in_valid  (look_valid),
        .a         (look_acc),
        .b         (digit_power),
        .out_valid (back_valid),
        .p         (back_acc)
    );

    assign {back_tag, back_is_wr, back_left} = mul2_side;

    always @(posedge clk) begin
        if (rst) begin
            rsp_valid <= 1'b0;
            rsp_is_wr <= 1'b0;
            rsp_tag   <= {TAG_W{1'b0}};
            rsp_q     <= 128'd0;
        end else begin
            rsp_valid <= back_done;
            rsp_is_wr <= back_is_wr;
            rsp_tag   <= back_tag;
            rsp_q     <= back_done ? back_acc : 128'd0;
        end
    end

endmodule

`resetall
