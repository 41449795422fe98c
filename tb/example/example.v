// SPDX-License-Identifier: Apache-2.0
//
// example: how the engine is connected and driven, in plain Verilog-2005; a place to start from.
//
// Writes a tensor of 160 bytes (2.5 lines), shows what lies in DRAM, reads it back verified, flips
// one bit in DRAM, reads again: TAG_ERROR, fatal alert, nothing is served any more. The last line
// of its output is PASSED or FAILED; on failure it ends with $stop, which `vvp -N` and Verilator
// turn into an exit status that is not zero.
//
// Byte order: the byte at the lowest address is data[7:0]; `in_order` puts it first for printing.
// Timing: everything is driven at the falling edge of the clock and sampled at the rising one.

`resetall
`default_nettype none
`include "tensortee_regs.vh"

module example;

    localparam DATA_W = 128;
    localparam ADDR_W = 40;
    localparam ID_W   = 4;

    localparam [ADDR_W-1:0] BASE   = 40'h1000;
    localparam              NBYTES = 160;
    localparam              BEATS  = 12;  // three whole lines of four beats
    localparam [7:0]        SLOT   = 8'd3;

    // Key bytes 00 01 .. 0f, plaintext bytes 00 01 .. 9f. The ciphertext, here its first block, is that of any AES-GCM
    // with IV = 01000001 0000000000000001: domain 0 and the first tensor_id of owner 1, version 1.
    localparam [127:0] KEY         = 128'h0f0e0d0c_0b0a0908_07060504_03020100;
    localparam [127:0] CIPHERTEXT0 = 128'he6e0284a_ae819d61_5f60d970_ac93b730;

    reg clk;
    reg rst;
    reg failed;

    initial clk = 1'b0;
    always #5 clk = ~clk;

    // ------------------------------------------------------------------------------------
    // The engine between an NPU (the tasks below) and DRAM
    // ------------------------------------------------------------------------------------
    reg               key_valid;
    wire              key_ready;
    wire              irq, alert_recov, alert_fatal;

    reg  [11:0]       s_axil_awaddr, s_axil_araddr;
    reg  [31:0]       s_axil_wdata;
    reg               s_axil_awvalid, s_axil_wvalid, s_axil_arvalid;
    wire              s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid;
    wire [1:0]        s_axil_bresp, s_axil_rresp;
    wire [31:0]       s_axil_rdata;

    reg               s_axi_awvalid, s_axi_wvalid, s_axi_wlast, s_axi_arvalid;
    reg  [DATA_W-1:0] s_axi_wdata;
    wire              s_axi_awready, s_axi_wready, s_axi_bvalid, s_axi_arready, s_axi_rvalid, s_axi_rlast;
    wire [1:0]        s_axi_bresp, s_axi_rresp;
    wire [DATA_W-1:0] s_axi_rdata;

    wire [ID_W-1:0]     m_axi_awid, m_axi_bid, m_axi_arid, m_axi_rid;
    wire [ADDR_W-1:0]   m_axi_awaddr, m_axi_araddr;
    wire [7:0]          m_axi_arlen;
    wire [DATA_W-1:0]   m_axi_wdata, m_axi_rdata;
    wire [DATA_W/8-1:0] m_axi_wstrb;
    wire                m_axi_awvalid, m_axi_awready, m_axi_wlast, m_axi_wvalid, m_axi_wready;
    wire                m_axi_bvalid, m_axi_bready, m_axi_arvalid, m_axi_arready;
    wire                m_axi_rlast, m_axi_rvalid, m_axi_rready;
    wire [1:0]          m_axi_bresp, m_axi_rresp;

    tensortee_engine #(
        .DATA_W (DATA_W),
        .ADDR_W (ADDR_W),
        .ID_W   (ID_W)
    ) u_engine (
        .clk            (clk),
        .rst            (rst),
        .zeroize        (1'b0),

        .key_valid      (key_valid),
        .key_ready      (key_ready),
        .key_data       (KEY),

        .irq            (irq),
        .alert_recov    (alert_recov),
        .alert_fatal    (alert_fatal),

        .s_axil_awaddr  (s_axil_awaddr),
        .s_axil_awprot  (3'b000),
        .s_axil_awvalid (s_axil_awvalid),
        .s_axil_awready (s_axil_awready),
        .s_axil_wdata   (s_axil_wdata),
        .s_axil_wstrb   (4'hf),
        .s_axil_wvalid  (s_axil_wvalid),
        .s_axil_wready  (s_axil_wready),
        .s_axil_bresp   (s_axil_bresp),
        .s_axil_bvalid  (s_axil_bvalid),
        .s_axil_bready  (1'b1),
        .s_axil_araddr  (s_axil_araddr),
        .s_axil_arprot  (3'b000),
        .s_axil_arvalid (s_axil_arvalid),
        .s_axil_arready (s_axil_arready),
        .s_axil_rdata   (s_axil_rdata),
        .s_axil_rresp   (s_axil_rresp),
        .s_axil_rvalid  (s_axil_rvalid),
        .s_axil_rready  (1'b1),

        // One burst over the whole tensor; AxSIZE 4 = 16 bytes, AxBURST 1 = INCR.
        .s_axi_awid     ({ID_W{1'b0}}),
        .s_axi_awaddr   (BASE),
        .s_axi_awlen    (BEATS[7:0] - 8'd1),
        .s_axi_awsize   (3'd4),
        .s_axi_awburst  (2'b01),
        .s_axi_awlock   (1'b0),
        .s_axi_awcache  (4'b0011),
        .s_axi_awprot   (3'b000),
        .s_axi_awqos    (4'd0),
        .s_axi_awvalid  (s_axi_awvalid),
        .s_axi_awready  (s_axi_awready),
        .s_axi_wdata    (s_axi_wdata),
        .s_axi_wstrb    ({DATA_W/8{1'b1}}),
        .s_axi_wlast    (s_axi_wlast),
        .s_axi_wvalid   (s_axi_wvalid),
        .s_axi_wready   (s_axi_wready),
        .s_axi_bid      (),
        .s_axi_bresp    (s_axi_bresp),
        .s_axi_bvalid   (s_axi_bvalid),
        .s_axi_bready   (1'b1),
        .s_axi_arid     ({ID_W{1'b0}}),
        .s_axi_araddr   (BASE),
        .s_axi_arlen    (BEATS[7:0] - 8'd1),
        .s_axi_arsize   (3'd4),
        .s_axi_arburst  (2'b01),
        .s_axi_arlock   (1'b0),
        .s_axi_arcache  (4'b0011),
        .s_axi_arprot   (3'b000),
        .s_axi_arqos    (4'd0),
        .s_axi_arvalid  (s_axi_arvalid),
        .s_axi_arready  (s_axi_arready),
        .s_axi_rid      (),
        .s_axi_rdata    (s_axi_rdata),
        .s_axi_rresp    (s_axi_rresp),
        .s_axi_rlast    (s_axi_rlast),
        .s_axi_rvalid   (s_axi_rvalid),
        .s_axi_rready   (1'b1),

        .m_axi_awid     (m_axi_awid),
        .m_axi_awaddr   (m_axi_awaddr),
        .m_axi_awlen    (),
        .m_axi_awsize   (),
        .m_axi_awburst  (),
        .m_axi_awlock   (),
        .m_axi_awcache  (),
        .m_axi_awprot   (),
        .m_axi_awqos    (),
        .m_axi_awvalid  (m_axi_awvalid),
        .m_axi_awready  (m_axi_awready),
        .m_axi_wdata    (m_axi_wdata),
        .m_axi_wstrb    (m_axi_wstrb),
        .m_axi_wlast    (m_axi_wlast),
        .m_axi_wvalid   (m_axi_wvalid),
        .m_axi_wready   (m_axi_wready),
        .m_axi_bid      (m_axi_bid),
        .m_axi_bresp    (m_axi_bresp),
        .m_axi_bvalid   (m_axi_bvalid),
        .m_axi_bready   (m_axi_bready),
        .m_axi_arid     (m_axi_arid),
        .m_axi_araddr   (m_axi_araddr),
        .m_axi_arlen    (m_axi_arlen),
        .m_axi_arsize   (),
        .m_axi_arburst  (),
        .m_axi_arlock   (),
        .m_axi_arcache  (),
        .m_axi_arprot   (),
        .m_axi_arqos    (),
        .m_axi_arvalid  (m_axi_arvalid),
        .m_axi_arready  (m_axi_arready),
        .m_axi_rid      (m_axi_rid),
        .m_axi_rdata    (m_axi_rdata),
        .m_axi_rresp    (m_axi_rresp),
        .m_axi_rlast    (m_axi_rlast),
        .m_axi_rvalid   (m_axi_rvalid),
        .m_axi_rready   (m_axi_rready)
    );

    axi_memory #(
        .DATA_W (DATA_W),
        .ADDR_W (ADDR_W),
        .ID_W   (ID_W)
    ) u_dram (
        .clk     (clk),
        .rst     (rst),
        .awid    (m_axi_awid),
        .awaddr  (m_axi_awaddr),
        .awvalid (m_axi_awvalid),
        .awready (m_axi_awready),
        .wdata   (m_axi_wdata),
        .wstrb   (m_axi_wstrb),
        .wlast   (m_axi_wlast),
        .wvalid  (m_axi_wvalid),
        .wready  (m_axi_wready),
        .bid     (m_axi_bid),
        .bresp   (m_axi_bresp),
        .bvalid  (m_axi_bvalid),
        .bready  (m_axi_bready),
        .arid    (m_axi_arid),
        .araddr  (m_axi_araddr),
        .arlen   (m_axi_arlen),
        .arvalid (m_axi_arvalid),
        .arready (m_axi_arready),
        .rid     (m_axi_rid),
        .rdata   (m_axi_rdata),
        .rresp   (m_axi_rresp),
        .rlast   (m_axi_rlast),
        .rvalid  (m_axi_rvalid),
        .rready  (m_axi_rready)
    );

    // ------------------------------------------------------------------------------------
    // Data
    // ------------------------------------------------------------------------------------
    function [DATA_W-1:0] plaintext(input integer beat);  // byte n of the tensor is n; zero behind its end
        integer k;
        for (k = 0; k < 16; k = k + 1) plaintext[8*k +: 8] = (16*beat + k < NBYTES) ? 16*beat[3:0] + k[7:0] : 8'd0;
    endfunction

    function [DATA_W-1:0] in_order(input [DATA_W-1:0] word);
        integer k;
        for (k = 0; k < 16; k = k + 1) in_order[8*k +: 8] = word[8*(15-k) +: 8];
    endfunction

    task check(input ok, input [8*40-1:0] what);
        begin
            if (ok === 1'b1) begin
                $display("ok     %0s", what);
            end else begin
                $display("WRONG  %0s", what);
                failed = 1'b1;
            end
        end
    endtask

    // ------------------------------------------------------------------------------------
    // What software does: registers and commands, on AXI4-Lite
    // ------------------------------------------------------------------------------------
    task write_register(input [11:0] address, input [31:0] value);
        fork
            begin
                @(negedge clk);
                s_axil_awaddr  = address;
                s_axil_awvalid = 1'b1;
                @(posedge clk);
                while (!s_axil_awready) @(posedge clk);
                @(negedge clk);
                s_axil_awvalid = 1'b0;
            end
            begin
                @(negedge clk);
                s_axil_wdata  = value;
                s_axil_wvalid = 1'b1;
                @(posedge clk);
                while (!s_axil_wready) @(posedge clk);
                @(negedge clk);
                s_axil_wvalid = 1'b0;
            end
            begin
                @(posedge clk);
                while (!s_axil_bvalid) @(posedge clk);
                if (s_axil_bresp != 2'b00) check(1'b0, "register write is answered OKAY");
            end
        join
    endtask

    task read_register(input [11:0] address, output [31:0] value);
        begin
            @(negedge clk);
            s_axil_araddr  = address;
            s_axil_arvalid = 1'b1;
            @(posedge clk);
            while (!s_axil_arready) @(posedge clk);
            @(negedge clk);
            s_axil_arvalid = 1'b0;
            @(posedge clk);
            while (!s_axil_rvalid) @(posedge clk);
            value = s_axil_rdata;
            if (s_axil_rresp != 2'b00) check(1'b0, "register read is answered OKAY");
        end
    endtask

    // One command on SLOT; its result must be `wanted`.
    reg [31:0] word;
    task command(input [3:0] opcode, input [7:0] wanted, input [8*40-1:0] what);
        begin
            write_register(`TTEE_REG_CMD, {16'd0, SLOT, 4'd0, opcode});
            read_register(`TTEE_REG_STATUS, word);
            while (word[8]) read_register(`TTEE_REG_STATUS, word);  // CMD_BUSY
            read_register(`TTEE_REG_CMD_RESULT, word);
            check(word[7:0] == wanted, what);
        end
    endtask

    // ------------------------------------------------------------------------------------
    // What the NPU does: one burst over the whole tensor
    // ------------------------------------------------------------------------------------
    integer sent, received;
    reg     data_right;  // every beat that was read is the plaintext
    reg     data_zero;   // every beat that was read is zero and answered SLVERR

    task write_tensor;
        fork
            begin
                @(negedge clk);
                s_axi_awvalid = 1'b1;
                @(posedge clk);
                while (!s_axi_awready) @(posedge clk);
                @(negedge clk);
                s_axi_awvalid = 1'b0;
            end
            begin
                for (sent = 0; sent < BEATS; sent = sent + 1) begin
                    @(negedge clk);
                    s_axi_wdata  = plaintext(sent);
                    s_axi_wlast  = sent == BEATS - 1;
                    s_axi_wvalid = 1'b1;
                    @(posedge clk);
                    while (!s_axi_wready) @(posedge clk);
                end
                @(negedge clk);
                s_axi_wvalid = 1'b0;
            end
            begin
                @(posedge clk);
                while (!s_axi_bvalid) @(posedge clk);
                check(s_axi_bresp == 2'b00, "write is answered OKAY");
            end
        join
    endtask

    task read_tensor;
        begin
            data_right = 1'b1;
            data_zero  = 1'b1;
            @(negedge clk);
            s_axi_arvalid = 1'b1;
            @(posedge clk);
            while (!s_axi_arready) @(posedge clk);
            @(negedge clk);
            s_axi_arvalid = 1'b0;
            for (received = 0; received < BEATS; received = received + 1) begin
                @(posedge clk);
                while (!s_axi_rvalid) @(posedge clk);
                if (s_axi_rresp !== 2'b00 || s_axi_rdata !== plaintext(received)) data_right = 1'b0;
                if (s_axi_rresp !== 2'b10 || s_axi_rdata !== 128'd0) data_zero = 1'b0;
            end
        end
    endtask

    // ------------------------------------------------------------------------------------
    // The example
    // ------------------------------------------------------------------------------------
    localparam integer FIRST = 256;  // BASE / 16: word of the memory in which the tensor begins

    task finish;
        begin
            if (failed) begin
                $display("FAILED");
                $stop;
            end else begin
                $display("PASSED");
                $finish;
            end
        end
    endtask

    integer beat;
    initial begin
        failed         = 1'b0;
        rst            = 1'b1;
        key_valid      = 1'b0;
        s_axil_awvalid = 1'b0;
        s_axil_wvalid  = 1'b0;
        s_axil_arvalid = 1'b0;
        s_axi_awvalid  = 1'b0;
        s_axi_wvalid   = 1'b0;
        s_axi_arvalid  = 1'b0;
        repeat (4) @(negedge clk);
        rst = 1'b0;

        // The key, on its own port
        key_valid = 1'b1;
        @(posedge clk);
        while (!key_ready) @(posedge clk);
        @(negedge clk);
        key_valid = 1'b0;
        read_register(`TTEE_REG_STATUS, word);
        while (word[2:0] != `TTEE_STATE_READY) read_register(`TTEE_REG_STATUS, word);

        // A tensor is written
        write_register(`TTEE_REG_CMD_BASE_LO, BASE[31:0]);
        write_register(`TTEE_REG_CMD_BASE_HI, {24'd0, BASE[39:32]});
        write_register(`TTEE_REG_CMD_NBYTES_LO, NBYTES);
        write_register(`TTEE_REG_CMD_NBYTES_HI, 32'd0);
        command(`TTEE_OP_DEFINE, `TTEE_RESULT_OK, "DEFINE");
        command(`TTEE_OP_OPEN_WRITE, `TTEE_RESULT_OK, "OPEN_WRITE");
        write_tensor;
        command(`TTEE_OP_CLOSE_WRITE, `TTEE_RESULT_OK, "CLOSE_WRITE");

        // DRAM holds its ciphertext
        for (beat = 0; beat < BEATS; beat = beat + 1)
            $display("DRAM +%0d: %h", 16 * beat, in_order(u_dram.words[FIRST+beat]));
        check(in_order(u_dram.words[FIRST]) == CIPHERTEXT0, "DRAM holds the ciphertext");

        // It is read and verified
        command(`TTEE_OP_OPEN_READ, `TTEE_RESULT_OK, "OPEN_READ");
        read_tensor;
        check(data_right, "what was read is what was written");
        command(`TTEE_OP_CLOSE_READ, `TTEE_RESULT_OK, "CLOSE_READ");
        check(!alert_fatal, "no alert");

        // One bit in DRAM is flipped
        u_dram.words[FIRST+5][77] = !u_dram.words[FIRST+5][77];
        command(`TTEE_OP_OPEN_READ, `TTEE_RESULT_OK, "OPEN_READ after a bit flip");
        read_tensor;
        check(!data_right, "what was read is something else");
        command(`TTEE_OP_CLOSE_READ, `TTEE_RESULT_TAG_ERROR, "CLOSE_READ gives TAG_ERROR");
        check(alert_fatal, "alert_fatal");
        read_tensor;
        check(data_zero, "nothing is served any more");
        finish;
    end

    // The end of all waiting
    initial begin
        #100000;
        check(1'b0, "ends in time");
        finish;
    end

endmodule

`resetall
